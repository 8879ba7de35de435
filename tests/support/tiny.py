"""Whole models small enough for any test: random weights, no part of them silent.

Exporting takes a minute, so exported folders lie beside this file. After a change of the networks:
`python -m tests.support.tiny` writes them anew.
"""

from dataclasses import replace
from pathlib import Path

import torch

from limner.engines.transformer.export.folder import export
from limner.model.bundle import Bundle, BundleConfig
from limner.storage.checkpoints import quantised, weights
from limner.text.text_tokenizer import TextTokenizer
from limner.training.presets import TINY
from limner.training.tasks.text_tokenizer import TextTokenizerConfig, train

CAPTIONS = ["a red apple", "two red apples", "a blue star", "一个红色的苹果", "蓝色的五角星"] * 3
NAME = "tiny-random"
EXPORTED = Path(__file__).parent / "weights" / "tiny"
EXPORTED_LAYOUTS = Path(__file__).parent / "weights" / "tiny-layouts"


def text_tokenizer() -> TextTokenizer:
    return train(CAPTIONS, TextTokenizerConfig(n_vocab=320))


def config(n_vocab: int) -> BundleConfig:
    transformer = replace(TINY.generator.model, n_vocab=n_vocab)
    return BundleConfig(TINY.image_tokenizer.model, transformer, TINY.upscaler.model)


def bundle(seed: int = 0) -> Bundle:
    """Draws squares."""
    return _random(config(text_tokenizer().n_vocab), seed)


def layouts_bundle() -> Bundle:
    """Draws layouts."""
    plain = config(text_tokenizer().n_vocab)
    transformer = replace(plain.transformer, layouts=True, attention="dense")
    return _random(replace(plain, transformer=transformer), seed=0)


def _random(config: BundleConfig, seed: int) -> Bundle:
    """What starts at zero before training gets values, so that every part can be seen to work."""
    torch.manual_seed(seed)
    model = Bundle(config).eval()
    for name, weight in model.named_parameters():
        if weight.ndim > 1 and not weight.any():
            scale = 2.0 if "head.scores" in name else 0.5
            torch.nn.init.normal_(weight, std=scale * weight[0].numel() ** -0.5)
    return model


def write(folder: Path, model: Bundle) -> Path:
    """Export a model with the preset's qualities."""
    about = {"name": NAME, "version": "0", "styles": [], "sampling": TINY.sampling_table()}
    return export(model, text_tokenizer(), folder, about).path


def read(folder: Path) -> Bundle:
    """The same model in PyTorch, from the exported files."""
    checkpoint = weights.read(folder)
    stored, tables = quantised.read(checkpoint)
    arrays = quantised.unpack(stored)
    model = Bundle(BundleConfig.from_dict(checkpoint.config["model"]))
    model.load_arrays({**arrays, **tables})
    return model.eval()


if __name__ == "__main__":
    write(EXPORTED, bundle())
    write(EXPORTED_LAYOUTS, layouts_bundle())

"""The public files of a DALL·E mini, tiny and with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

from limner.engines.dalle_mini.bart import BartShape, Decoder, Encoder
from limner.engines.dalle_mini.vqgan import Detokenizer, DetokenizerShape, Level

N_CODES = 64
ENCODER = BartShape(n_layers=2, d=128, d_hidden=96, n_vocab=48, n_places=16)
# 16 cells, and scores of more values than there are codes, as mega has.
DECODER = BartShape(n_layers=2, d=128, d_hidden=96, n_vocab=N_CODES + 4, n_places=16)
DETOKENIZER = DetokenizerShape(
    N_CODES, 32, (Level(32, 32, 1, False, False), *[Level(32, 32, 1, False, True)] * 3,
                  Level(64, 32, 2, True, True)),
)  # fmt: skip
TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "Ġ", *"abcdefghijklmnopqrstuvwxyz-'", "re", "red", "Ġa"]
MERGES = ["r e", "re d", "Ġ a"]


def networks(seed: int = 0) -> dict[str, nn.Module]:
    """The three networks by the names of their files."""
    torch.manual_seed(seed)
    encoder, decoder, detokenizer = Encoder(ENCODER), Decoder(DECODER), Detokenizer(DETOKENIZER)
    decoder.lm_head.weight.data *= 0.25  # else guidance leaves one code of all
    nn.init.constant_(detokenizer.decoder.conv_out.bias, 0.5)  # type: ignore[arg-type]  # has one
    return {"encoder": encoder, "decoder": decoder, "detoker": detokenizer}


def write(folder: Path, suffix: str = "_mini") -> Path:
    """Write the files as their makers do, in float16, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, network in networks().items():
        tensors = {key: tensor.half() for key, tensor in network.state_dict().items()}
        ending = "" if name == "detoker" else suffix
        torch.save(tensors, folder / f"{name}{ending}.pt")
    vocabulary = {token: i for i, token in enumerate(TOKENS)}
    (folder / f"vocab{suffix}.json").write_text(json.dumps(vocabulary), "utf-8")
    (folder / f"merges{suffix}.txt").write_text("\n".join(["#version: 0.2", *MERGES, ""]), "utf-8")
    return folder

"""Averaging a run's weights with those that it began from."""

from pathlib import Path

import pytest
import torch

from limner.errors import SettingsError
from limner.model.bundle import Bundle
from limner.text.text_tokenizer import TextTokenizer
from limner.training import stages
from limner.training.weights.init_from_weights import begin_run
from limner.training.weights.mixing import mix
from limner.training.weights.pack import pack_run

Trained = tuple[Bundle, TextTokenizer]


@pytest.fixture
def trained(tiny_weights: Path, tmp_path: Path) -> Trained:
    """A run from tiny weights in which every trained weight has grown by 1."""
    bundle, tokenizer = stages.load_bundle(begin_run(tiny_weights, tmp_path / "run"))
    with torch.no_grad():
        for part in (bundle.transformer, bundle.image_tokenizer.decoder):
            for parameter in part.parameters():
                parameter.add_(1)
    return bundle, tokenizer


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_transformer_is_averaged_and_the_rest_is_the_runs(
    trained: Trained, tiny_weights: Path, tmp_path: Path, share: float
) -> None:
    bundle, tokenizer = trained
    before, _ = stages.load_bundle(begin_run(tiny_weights, tmp_path / "before"))
    mixed = mix(bundle, tokenizer, tiny_weights, share)
    for name, parameter in mixed.transformer.named_parameters():
        expected = before.transformer.get_parameter(name) + (1 - share)
        torch.testing.assert_close(parameter, expected)
    for name, parameter in mixed.image_tokenizer.named_parameters():
        assert torch.equal(parameter, bundle.image_tokenizer.get_parameter(name))


def test_packed_run_can_be_averaged(tiny_weights: Path, tmp_path: Path) -> None:
    begun = begin_run(tiny_weights, tmp_path / "begun")
    bundle, tokenizer = stages.load_bundle(pack_run(begun, tmp_path / "packed"))
    mixed = mix(bundle, tokenizer, tiny_weights, 0.5)
    assert mixed.config == bundle.config


def test_run_with_other_codes_is_refused(trained: Trained, tiny_weights: Path) -> None:
    bundle, tokenizer = trained
    with torch.no_grad():
        next(bundle.image_tokenizer.encoder.parameters()).add_(1)
    with pytest.raises(SettingsError, match="did not begin from these weights") as refused:
        mix(bundle, tokenizer, tiny_weights, 0.5)
    assert "--mix" in str(refused.value.hint)


def test_run_of_another_shape_is_refused(
    trained: Trained, tiny_weights: Path, tmp_path: Path
) -> None:
    _, tokenizer = trained
    boxes, _ = stages.load_bundle(begin_run(tiny_weights, tmp_path / "boxes", layouts=True))
    with pytest.raises(SettingsError, match="did not begin from these weights"):
        mix(boxes, tokenizer, tiny_weights, 0.5)

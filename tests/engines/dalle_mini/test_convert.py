"""From the public files to a folder of weights, and what is refused."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from limner.engines.dalle_mini import weights_folder
from limner.engines.dalle_mini.convert import convert
from limner.errors import DataError, OutputError, WeightsError
from limner.storage.checkpoints import weights
from tests.engines.dalle_mini import tiny

CPU = torch.device("cpu")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tiny.write(tmp_path / "source")


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return found


def test_what_was_converted_is_what_was_there(source: Path, tmp_path: Path) -> None:
    checkpoint = convert(source, tmp_path / "out")
    assert set(weights.read(checkpoint.path).entries) == {
        "config.json", "decoder.safetensors", "detokenizer.safetensors", "encoder.safetensors",
        "merges.txt", "vocab.json",
    }  # fmt: skip
    model = weights_folder.read(checkpoint.path, CPU)
    for name, network in [("encoder_mini", model.encoder), ("decoder_mini", model.decoder),
                          ("detoker", model.detokenizer)]:  # fmt: skip
        stored = _tensors(source / f"{name}.pt")
        for key, tensor in network.state_dict().items():
            assert torch.equal(tensor, stored[key].float())


def test_the_folder_of_min_dalle_is_read_too(tmp_path: Path) -> None:
    source = tiny.write(tmp_path / "pretrained" / "dalle_bart_mega", "")
    (tmp_path / "pretrained" / "vqgan").mkdir()
    (source / "detoker.pt").rename(tmp_path / "pretrained" / "vqgan" / "detoker.pt")
    assert convert(tmp_path / "pretrained", tmp_path / "out").kind == "dalle_mini"


def test_mini_and_mega_in_one_folder_are_not_guessed_at(source: Path, tmp_path: Path) -> None:
    (source / "encoder.pt").write_bytes((source / "encoder_mini.pt").read_bytes())
    with pytest.raises(DataError, match=r"encoder\.pt, encoder_mini\.pt") as caught:
        convert(source, tmp_path / "out")
    assert "a folder of their own" in str(caught.value)


def test_other_tensors_are_left_out_and_said_to_be(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = source / "encoder_mini.pt"
    torch.save(_tensors(path) | {"more.weight": torch.zeros(1)}, path)
    convert(source, tmp_path / "out")
    assert "more.weight" in caplog.text


class _Harm:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


def _a_pickle(source: Path) -> None:
    torch.save({"x": _Harm(source / "harmed")}, source / "encoder_mini.pt")


def _a_plain_pickle(source: Path) -> None:
    (source / "encoder_mini.pt").write_bytes(pickle.dumps(_Harm(source / "harmed"), 2))


def _a_cut_file(source: Path) -> None:
    path = source / "decoder_mini.pt"
    path.write_bytes(path.read_bytes()[:5000])


def _no_table(source: Path) -> None:
    torch.save([torch.zeros(1)], source / "detoker.pt")


def _another_network(source: Path) -> None:
    torch.save({"fc.weight": torch.zeros(2, 2)}, source / "encoder_mini.pt")


def _a_missing_tensor(source: Path) -> None:
    tensors = _tensors(source / "decoder_mini.pt")
    del tensors["layers.1.glu.fc2.weight"]
    torch.save(tensors, source / "decoder_mini.pt")


def _another_size(source: Path) -> None:
    tensors = _tensors(source / "decoder_mini.pt")
    tensors["layers.1.glu.fc2.weight"] = torch.zeros(3, 3)
    torch.save(tensors, source / "decoder_mini.pt")


def _no_vocabulary(source: Path) -> None:
    (source / "vocab_mini.json").write_text('{"a": 0}')


def _a_missing_file(source: Path) -> None:
    (source / "decoder_mini.pt").unlink()


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (_a_pickle, DataError, "could run code"),
        (_a_plain_pickle, DataError, "could run code"),
        (_a_cut_file, DataError, "cannot be read"),
        (_no_table, DataError, "no table of tensors"),
        (_another_network, WeightsError, "embed_tokens.weight is missing"),
        (_a_missing_tensor, WeightsError, "layers.1.glu.fc2.weight is missing"),
        (_another_size, WeightsError, "size mismatch for layers.1.glu.fc2.weight"),
        (_no_vocabulary, WeightsError, "not a vocabulary"),
        (_a_missing_file, DataError, r"no decoder\*.pt"),
    ],
)
def test_files_that_will_not_do(
    source: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    kind: type[Exception],
    words: str,
) -> None:
    damage(source)
    with pytest.raises(kind, match=words) as caught:
        convert(source, tmp_path / "out")
    assert "hint: " in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert not (source / "harmed").exists()


def test_nothing_is_written_over(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="exists"):
        convert(source, source)


def test_a_damaged_folder_and_one_of_another_kind_are_refused(source: Path, tmp_path: Path) -> None:
    other = weights.write(tmp_path / "other", {"kind": "nano"})
    with pytest.raises(WeightsError, match="not dalle_mini"):
        weights_folder.read(other.path, CPU)
    folder = convert(source, tmp_path / "out").path
    path = folder / "decoder.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"decoder.safetensors is damaged"):
        weights_folder.read(folder, CPU)

"""A folder of weights of DALL·E mini, as `convert` writes it, and its networks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from limner.engines.dalle_mini.bart import BartShape, Decoder, Encoder
from limner.engines.dalle_mini.vqgan import Detokenizer, DetokenizerShape
from limner.engines.dalle_mini.words import Words
from limner.errors import WeightsError
from limner.storage.checkpoints import weights

KIND = "dalle_mini"
PARTS = ("encoder", "decoder", "detokenizer")
VOCABULARY, MERGES = "vocab.json", "merges.txt"

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Model:
    """The networks, in float32, and the vocabulary."""

    encoder: Encoder
    decoder: Decoder
    detokenizer: Detokenizer
    words: Words


def read(folder: Path, device: torch.device) -> Model:
    """The model in `folder`, on `device`.

    Raises WeightsError if the folder is missing, damaged, or of another kind.
    """
    checkpoint = weights.read(folder)
    if checkpoint.kind != KIND:
        raise WeightsError(
            f"The weights in {folder} are of the kind {checkpoint.kind}, not {KIND}",
            hint="make a folder of DALL·E mini's files by `limner models convert`, and add it by "
            "`limner models add`",
        )
    networks = {}
    for part in PARTS:
        arrays = checkpoint.tensors(part)
        tensors = {name: torch.from_numpy(array).float() for name, array in arrays.items()}
        networks[part] = filled(part, tensors).eval().to(device)
    return Model(
        cast("Encoder", networks["encoder"]),
        cast("Decoder", networks["decoder"]),
        cast("Detokenizer", networks["detokenizer"]),
        read_words(checkpoint.file(VOCABULARY), checkpoint.file(MERGES)),
    )


def filled(part: str, tensors: Tensors) -> nn.Module:
    """The network of a part, whose weights are exactly `tensors`; WeightsError if they are not."""
    network = _empty(part, tensors)
    try:
        network.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise _other(part, " ".join(str(error).split())[:200]) from error
    return network


def wanted(part: str, tensors: Tensors) -> list[str]:
    """The names of the tensors that a part needs; WeightsError if `tensors` lacks one."""
    names = list(_empty(part, tensors).state_dict())
    missing = [name for name in names if name not in tensors]
    if missing:
        raise _other(part, f"{missing[0]} is missing")
    return names


def read_words(vocabulary: Path, merges: Path) -> Words:
    """The vocabulary in two files; WeightsError if they cannot be read."""
    try:
        lines = merges.read_text("utf-8").splitlines()
        pairs = [line.split() for line in lines if line and not line.startswith("#version")]
        tokens = {name: int(i) for name, i in json.loads(vocabulary.read_bytes()).items()}
        return Words(tokens, [(left, right) for left, right in pairs])
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{vocabulary.name} and {merges.name} in {vocabulary.parent} are not a vocabulary of "
            f"DALL·E mini: {type(error).__name__}: {error}",
            hint="take the files that came with the weights",
        ) from error


def _empty(part: str, tensors: Tensors) -> nn.Module:
    """The network of a part, with the sizes of `tensors` and without values."""
    try:
        with torch.device("meta"):
            if part == "encoder":
                return Encoder(BartShape.of(tensors))
            if part == "decoder":
                return Decoder(BartShape.of(tensors))
            return Detokenizer(DetokenizerShape.of(tensors))
    except KeyError as error:
        raise _other(part, f"{error.args[0]} is missing") from error
    except (ValueError, IndexError) as error:
        raise _other(part, str(error)) from error


def _other(part: str, why: str) -> WeightsError:
    return WeightsError(
        f"The tensors of the {part} are not those of a DALL·E mini: {why}",
        hint="take the encoder, decoder and detoker of the public weights for min-dalle",
    )

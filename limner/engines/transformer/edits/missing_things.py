"""Edits whose prompt describes the whole picture: what it has already is not drawn again.

"A cat and a ball", with a mask beside a cat, asks for the ball alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limner.arrays import Floats, Pixels
from limner.engines.transformer.backend import Backend, image_px, max_text
from limner.engines.transformer.edits.each_thing import masks_of, square_around
from limner.imaging import codec
from limner.planning.plan import Reading
from limner.sampling import ground
from limner.text.phrases import one_of

# Cosine of a picture's and a phrase's vectors from which the picture shows it: 0.97 of pictures
# are below it for another thing's phrase, 0.87 to 0.96 above it for their own.
_SHOWS = 0.55
_MOST = 8  # things looked at


@dataclass(frozen=True)
class Missing:
    """What is to be drawn of a prompt, and what of it is there."""

    prompt: str
    there: tuple[str, ...]


def missing_things(backend: Backend, around: Pixels, reading: Reading) -> Missing | None:
    """What a prompt of several things names and the picture `around` (H, W, 4) does not show.

    None if it names one thing, if all or none of them are there, or if the picture has no plain
    ground on which things stand apart.
    """
    if not reading.is_scene:
        return None
    clear = ground.cleared(around)
    crops = [] if clear is None else _things(clear)
    if not crops:
        return None
    said = [
        one_of(thing.words, thing.count) for thing in reading.things for _ in range(thing.count)
    ]
    there = _shown(_pictures(backend, crops) @ _texts(backend, said).T)
    left = [words for index, words in enumerate(said) if index not in there]
    if not there or not left:
        return None
    joined = ("和" if _is_chinese(left[0]) else " and ").join(left)
    prompt = f"{joined}, {reading.style}" if reading.style else joined
    return Missing(prompt, tuple(said[index] for index in sorted(there)))


def _shown(alike: Floats) -> set[int]:
    """The columns of cosines (things, phrases) that things show, each one at most one of them."""
    found: dict[int, int] = {}
    for flat in np.argsort(-alike, axis=None):
        row, column = divmod(int(flat), alike.shape[1])
        if alike[row, column] < _SHOWS:
            break
        if row not in found.values() and column not in found:
            found[column] = row
    return set(found)


def _things(clear: Pixels) -> list[Pixels]:
    """Squares (S, S, 4) around the things of a picture on a clear ground."""
    crops = []
    for mask in masks_of(clear)[:_MOST]:
        left, top, side = square_around(mask)
        if left >= 0 and top >= 0:
            own = np.where(mask[..., None], clear, 0)
            crops.append(own[top : top + side, left : left + side])
    return crops


def _pictures(backend: Backend, crops: Sequence[Pixels]) -> Floats:
    """Unit vectors of pictures, (N, E)."""
    px, vectors = image_px(backend), []
    for crop in crops:
        method: codec.Method = "area" if len(crop) > px else "bicubic"
        small = codec.premultiply(codec.resize(crop, px, px, method).astype(np.float32) / 255)
        codes = backend.codes(small.transpose(2, 0, 1)[None].astype(np.float32))
        vectors.append(backend.embed_image(codes)[0])
    return np.stack(vectors)


def _texts(backend: Backend, phrases: Sequence[str]) -> Floats:
    """Unit vectors of phrases, (N, E)."""
    tokens, _ = backend.text_tokenizer.encode_padded(list(phrases), max_text(backend))
    vectors: Floats = backend.embed_text(tokens)
    return vectors


def _is_chinese(words: str) -> bool:
    return any("\u3400" <= c <= "\u9fff" for c in words)

"""Unit vectors of pictures and of texts, by the contrastive head of the weights."""

from collections.abc import Sequence

import numpy as np

from limner.arrays import Floats, Pixels
from limner.engines.transformer.backend import Backend, image_px, max_text
from limner.imaging import codec

_CHUNK = 64  # texts encoded at once


def picture_vector(backend: Backend, pixels: Pixels) -> Floats:
    """The unit vector (E,) of a square picture (S, S, 4) of straight RGBA."""
    px = image_px(backend)
    small = codec.resize(pixels, px, px, "area" if pixels.shape[0] > px else "bicubic")
    picture = codec.premultiply(small.astype(np.float32) / 255)
    codes = backend.codes(picture.transpose(2, 0, 1)[None].astype(np.float32))
    vector: Floats = backend.embed_image(codes)[0]
    return vector


def text_vectors(backend: Backend, texts: Sequence[str]) -> Floats:
    """Unit vectors of texts, (N, E)."""
    found = []
    for start in range(0, len(texts), _CHUNK):
        part = list(texts[start : start + _CHUNK])
        tokens, _ = backend.text_tokenizer.encode_padded(part, max_text(backend))
        found.append(backend.embed_text(tokens))
    return np.concatenate(found)

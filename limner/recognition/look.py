"""Look at a picture: what it shows, whether it matches a prompt, and what to try next.

The vector of the picture (contrastive head of the bundled model) is compared with the vectors of
all names. Colour and number are measured on the pixels. The same head chooses between candidates
while drawing, so it scores limner's own pictures higher than an independent judge would.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats, Pixels
from limner.engines.transformer.backend import Backend, has_planner
from limner.engines.transformer.backends import choose
from limner.engines.transformer.contrastive import picture_vector, text_vectors
from limner.engines.transformer.matching import match as match_things
from limner.engines.transformer.scenes.planner import LayoutPlanner
from limner.planning.plan import Reading
from limner.recognition import advice, checks, finding, names
from limner.recognition.areas import Subject, subject_of
from limner.recognition.checks import Check
from limner.recognition.finding import Found
from limner.recognition.names import NameMatch, Names
from limner.recognition.scene_checks import SceneLook, look_at_scene
from limner.recognition.things import things_in
from limner.request import size_of
from limner.storage.checkpoints import weights as checkpoints
from limner.text import followups, phrases
from limner.text.mediums import without_medium
from limner.text.rewording import reworded

N_SEEN = 3


@dataclass(frozen=True)
class Look:
    """The result of a look at a picture."""

    asked: str | None
    match: float | None  # cosine of picture and prompt, -1 to 1; not decisive by itself
    good_enough: bool | None  # None: no prompt was given
    seen: tuple[NameMatch, ...]
    checks: tuple[Check, ...]
    unknown_words: tuple[str, ...]
    advice: tuple[advice.Advice, ...]
    alt: str
    alt_zh: str

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        body = asdict(self)
        for seen in body["seen"]:
            seen["score"], seen["margin"] = round(seen["score"], 3), round(seen["margin"], 3)
        body["match"] = None if self.match is None else round(self.match, 3)
        return body


class Looker:
    """Looks at pictures with the networks of one weights folder; safe to share by threads."""

    def __init__(self, backend: Backend, weights: Path, home: Path) -> None:
        """`backend` runs the folder `weights`. Vectors of names are cached in `home`, unless
        shipped.
        """
        self._backend, self._weights, self._home = backend, weights, home
        self._planner = LayoutPlanner(backend) if has_planner(backend) else None
        self._names: Names | None = None
        self._lock = threading.Lock()

    @classmethod
    def open(cls, weights: Path, home: Path = Path()) -> Looker:
        """A Looker for the weights in a folder."""
        return cls(choose.load(weights), weights, home)

    @property
    def weights_digest(self) -> str:
        """A digest of the weights on which the vectors of texts depend."""
        entries = checkpoints.read(self._weights, verify=False).entries
        used = [
            f"{name} {entries[name].sha256}"
            for name in sorted(entries)
            if name.startswith(("text", "weights"))
        ]
        return hashlib.sha256("\n".join(used).encode()).hexdigest()

    @property
    def names(self) -> Names:
        """The names, loaded once."""
        with self._lock:
            if self._names is None:
                styles = [w for one in self._backend.config["styles"] for w in one["words"]]
                self._names = names.load(self.embed, self.weights_digest, self._home, styles)
            return self._names

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of texts, (N, E)."""
        return text_vectors(self._backend, texts)

    def look(self, pixels: Pixels, asked: str | None = None) -> Look:
        """Look at a picture (H, W, 4) of straight RGBA; `asked` is the prompt to check."""
        subject = subject_of(pixels)
        # "a red apple, make it blue" asks for a blue one.
        whole = followups.applied(asked) if asked else ""
        said = reworded(without_medium(whole)[0]) if whole else ""
        reading = self._planner.read([said])[0] if said and self._planner else Reading()
        is_several = len(reading.things) == 1 and reading.things[0].count > 1
        vector = self._vector(subject.largest if is_several else subject.pixels)
        scores = self.names.vectors @ vector
        seen = self._seen(scores)
        if asked is None or not asked.strip():
            alt, alt_zh = advice.alt(seen, subject)
            return Look(None, None, None, seen, (), (), (), alt, alt_zh)
        match = float(self.embed([said or asked])[0] @ vector)
        found: tuple[Check, ...]
        if not said:  # only another colour
            colour = checks.colour(asked, subject.pixels)
            found = (colour,) if colour else ()
        elif len(reading.things) > 1 and not self._is_name(said):
            scene = self._scene(pixels, reading)
            found, match = scene.checks, scene.match
        else:
            found = self._checks(said, reading, subject, vector, scores)
        unknown = tuple(self.names.unknown_words(whole))
        good = not unknown and all(check.is_met for check in found)
        alt, alt_zh = advice.alt(seen, subject, self._surely(found))
        tips = () if good else advice.advise(said or asked, reading, found, unknown)
        return Look(asked, match, good, seen, found, unknown, tips, alt, alt_zh)

    def find(self, pixels: Pixels, words: str) -> Found:
        """Find the thing in a picture (H, W, 4) of straight RGBA that `words` name.

        Raises InvalidRequest if no thing fits; the message says what is seen instead.
        """
        want, things = finding.wanted(words), things_in(pixels)
        if not things:
            raise finding.not_found(words, [])
        vectors = [self._vector(thing.pixels) for thing in things]
        matches = match_things(vectors, self.embed([want.phrase]), self.names.vectors)
        best = finding.chosen(want, things, matches)
        if best is None:
            seen = [self._seen(self.names.vectors @ vector)[0].label for vector in vectors]
            raise finding.not_found(words, seen)
        share = float(matches.shares[best, 0])
        return finding.found(things, best, share, size_of(pixels))

    def _surely(self, found: Sequence[Check]) -> list[tuple[str, str]]:
        """The subjects in English and Chinese of which the checks are certain."""
        words = [
            str(check.asked)
            for check in found
            if check.what == "subject" and check.seen and check.sure
        ]
        chinese = self.names.chinese
        return [(each, chinese.get(phrases.bare(each.lower()), each)) for each in words]

    def _vector(self, pixels: Pixels) -> NDArray[np.floating]:
        return picture_vector(self._backend, pixels)

    def _seen(self, scores: Floats) -> tuple[NameMatch, ...]:
        """The best names, one for each family, with margins over the next one."""
        best: list[int] = []
        families: set[str] = set()
        for index in np.argsort(-scores):
            name = self.names.names[index]
            if name.family not in families:
                families.add(name.family)
                best.append(int(index))
            if len(best) > N_SEEN:
                break
        return tuple(
            NameMatch(
                self.names.names[index].english,
                self.names.names[index].chinese,
                float(scores[index]),
                float(scores[index] - scores[rival]),
            )
            for index, rival in pairwise(best)
        )

    def _is_name(self, asked: str) -> bool:
        """Whether a prompt is the name of one thing, such as "sun behind cloud"."""
        return phrases.bare(asked.lower()) in self.names.chinese

    def _scene(self, pixels: Pixels, reading: Reading) -> SceneLook:
        """Check a picture against a prompt of several things."""
        things = things_in(pixels)
        return look_at_scene(reading, things, self._vector, self.embed, self.names.vectors)

    def _checks(
        self,
        asked: str,
        reading: Reading,
        subject: Subject,
        vector: Floats,
        scores: Floats,
    ) -> tuple[Check, ...]:
        """Check subject, colour and number of a prompt that has one kind of thing."""
        things, is_name = reading.things, self._is_name(asked)
        found = []
        words = phrases.one_of(things[0].words, things[0].count) if things else asked
        words = asked if is_name else words
        score = float(self.embed([words])[0] @ vector)
        found.append(checks.subject(words, float((scores > score).mean())))
        if check := checks.colour(words, subject.pixels):
            found.append(check)
        if things and not is_name:
            found.append(checks.count(sum(thing.count for thing in things), subject))
        return tuple(found)

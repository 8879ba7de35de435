"""What words around a name cost a picture: `python -m benchmarks.words_around HOME [-n 60]`.

HOME is a LIMNER_HOME with data and a judge (`limner evaluate` trains it). Taught names are drawn
alone, with an adjective, in a place and with words about quality, with the same seeds: told to the
network as they are, and without what limner leaves out. Right is a picture whose name the judge
picks among 100.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from limner.engines.transformer import prompts
from limner.evaluation.ask_studio import drawer
from limner.evaluation.judge import judge as judges
from limner.evaluation.measures.r_precision import Captions
from limner.evaluation.measures.statistics import estimate
from limner.evaluation.samples import draw_all
from limner.planning import plan
from limner.settings import load
from limner.studio import Studio
from limner.text.known_names import taught_rows

SEED = 2026
_OTHERS = 400  # names beside those asked for, of which the judge sees 99
_NEW = ("majestic", "rustic", "siamese", "futuristic", "cozy", "magical", "lonely", "chubby")
_SAID = ("vintage", "elegant", "weird", "playful", "sleepy", "happy", "old", "wooden", "retro")
_PLACES = ("on a cliff", "on Mars", "in Paris", "in a museum", "under a bridge", "in the desert")
_FORMS = {
    "alone": "{name}",
    "an adjective that no caption has": "{new} {name}",
    "an adjective of other names": "{said} {name}",
    "a place": "{name} {place}",
    "its posture": "{name} facing forward, studio light",
    "its quality": "{name}, highly detailed, 4k, trending on artstation",
}


def main() -> None:
    """Print R@1 of each form as it is, without what is left out, and their difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("-n", type=int, default=60)
    options = parser.parse_args()
    random.seed(SEED)
    rows = [row for row in taught_rows() if not row[3].startswith("name:")]
    random.shuffle(rows)
    asked = rows[: options.n]
    pool = [row[1] for row in rows[: options.n + _OTHERS]]
    judge = judges.load(options.home / "judge")
    captions = Captions(judge, pool, len(asked), 0)
    # An engine keeps what it has read, so each reading has its own.
    whole, left = (drawer(Studio(load({"home": options.home})), "low") for _ in range(2))
    seeds = list(range(len(asked)))
    for form, text in _FORMS.items():
        said = [_filled(text, row[0], i) for i, row in enumerate(asked)]
        with _told_whole():
            pictures, _ = draw_all(whole, said, seeds, "", lambda *told: None)
        right = [captions.are_first(judge.embed_pictures(pictures), seeds)]
        pictures, _ = draw_all(left, said, seeds, "", lambda *told: None)
        right.append(captions.are_first(judge.embed_pictures(pictures), seeds))
        difference = estimate(right[1].astype(float) - right[0].astype(float))
        print(f"{form}: {estimate(right[0])}, {estimate(right[1])}, {difference}", flush=True)


def _filled(text: str, name: str, i: int) -> str:
    """A form with the i-th words, which begin with an article."""
    words = [words[i % len(words)] for words in (_NEW, _SAID, _PLACES)]
    said = text.format(name=name, new=words[0], said=words[1], place=words[2])
    return f"{'an' if said[0] in 'aeiou' else 'a'} {said}"


@contextmanager
def _told_whole() -> Iterator[None]:
    """The network reads the words as they are."""
    with (
        patch.object(prompts, "without_modifiers", lambda prompt, kept: (prompt, [])),
        patch.object(plan, "without_unknown", lambda reading, is_known: reading),
    ):
        yield


if __name__ == "__main__":
    main()

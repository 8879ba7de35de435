"""What the thesaurus is worth in pictures: `python -m benchmarks.thesaurus HOME WORDNET [-n 60]`.

HOME is a LIMNER_HOME with data and a judge (`limner evaluate` trains it), WORDNET the folder of
WordNet 3.0's files. Words of the table are drawn as they are and by the names that stand for them,
with the same seeds; right is a picture whose name the judge picks among 100. English words are
those that WordNet's own texts have. At most three words have the same name.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from pathlib import Path
from unittest.mock import patch

from limner import text
from limner.data.emoji.words import with_article
from limner.data.thesaurus.wordnet import WordNet
from limner.evaluation.ask_studio import drawer
from limner.evaluation.judge import judge as judges
from limner.evaluation.measures.r_precision import Captions
from limner.evaluation.measures.statistics import estimate
from limner.evaluation.samples import draw_all
from limner.settings import load
from limner.studio import Studio
from limner.text import synonyms
from limner.text.known_names import taught_rows
from limner.text.phrases import bare
from limner.text.text_tokenizer import normalise

SEED = 2026
_A_NAME = 3
_OTHERS = 400  # names beside those asked for, of which the judge sees 99


def main() -> None:
    """Print R@1 before, after, and the paired difference, with 95 % intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("wordnet", type=Path)
    parser.add_argument("-n", type=int, default=60)
    parser.add_argument("--lang", choices=["en", "zh"], default="en")
    options = parser.parse_args()
    random.seed(SEED)
    asked = questions(WordNet(options.wordnet), options.n, options.lang)
    column = 0 if options.lang == "en" else 2
    phrases = {bare(normalise(row[column])): row[1] for row in taught_rows()}
    others = [phrase for _, phrase, _, family in taught_rows() if not family.startswith("name:")]
    pool = [phrases[name] for _, name in asked] + random.sample(others, _OTHERS)
    judge = judges.load(options.home / "judge")
    captions = Captions(judge, pool, len(asked), 0)
    studio = Studio(load({"home": options.home}))
    prompts = [with_article(word) if word.isascii() else word for word, _ in asked]
    seeds = list(range(len(asked)))
    right = []
    for is_used in (False, True):
        look_up = synonyms.look_up if is_used else lambda word: None
        with patch.object(synonyms, "look_up", look_up):
            pictures, _ = draw_all(drawer(studio, "low"), prompts, seeds, "", lambda *told: None)
        right.append(captions.are_first(judge.embed_pictures(pictures), seeds))
        print("with" if is_used else "without", estimate(right[-1]), flush=True)
    print("difference", estimate(right[1].astype(float) - right[0].astype(float)))
    for (word, name), before, after in zip(asked, *right, strict=True):
        print(f"{word} > {name}: {int(before)} {int(after)}")


def questions(net: WordNet, n: int, lang: str) -> list[tuple[str, str]]:
    """n words of the table and their names, by chance."""
    table = json.loads(Path(text.__file__).with_name("thesaurus.json").read_text(encoding="utf-8"))
    rows = [
        (word, name)
        for part in ("same", "kinds")
        for name, words in table[part].items()
        for word in words.split(", ")
        if (net.uses_as_noun(word) if lang == "en" else not word.isascii())
    ]
    random.shuffle(rows)
    seen = Counter[str]()
    chosen = []
    for word, name in rows:
        seen[name] += 1
        if seen[name] <= _A_NAME:
            chosen.append((word, name))
    return chosen[:n]


if __name__ == "__main__":
    main()

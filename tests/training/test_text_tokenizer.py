"""Training the text tokenizer: deterministic, greedy by count, and within its limits."""

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import DataError, OutputError, SettingsError
from limner.text.text_tokenizer import (
    FIRST_CHARACTER,
    TextTokenizer,
    normalise,
    split,
)
from limner.training.tasks.text_tokenizer import (
    TextTokenizerConfig,
    choose_characters,
    count_pieces,
    main,
    train,
)

CAPTIONS = [
    "a red apple on a table",
    "two red apples and a green apple",
    "一个红色的苹果",
    "两个苹果和一只小狗",
    "一只小狗在吃苹果",
    "a small dog eats an apple 🍎",
    "🍎 apple 👩\u200d🚀👩\u200d🚀",
]
CONFIG = TextTokenizerConfig(n_vocab=400)


def _tokens(tokenizer: TextTokenizer, text: str) -> list[str]:
    return [tokenizer.decode([i]) for i in tokenizer.encode(text)]


def test_merges_shorten_the_text() -> None:
    bare = train(CAPTIONS, TextTokenizerConfig(n_vocab=FIRST_CHARACTER))
    trained = train(CAPTIONS, CONFIG)
    n_bare = sum(len(bare.encode(caption)) for caption in CAPTIONS)
    n_trained = sum(len(trained.encode(caption)) for caption in CAPTIONS)
    assert bare.n_vocab == FIRST_CHARACTER
    assert n_trained < 0.5 * n_bare


def test_words_of_both_languages_become_one_token() -> None:
    tokenizer = train(CAPTIONS, CONFIG)
    assert _tokens(tokenizer, "red apple") == ["red", "apple"]
    assert _tokens(tokenizer, "苹果小狗") == ["苹果", "小狗"]


def test_the_particle_stays_alone() -> None:
    tokenizer = train(["红色的苹果"] * 50, CONFIG)
    assert _tokens(tokenizer, "红色的苹果") == ["红色", "的", "苹果"]


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_captions_does_not_matter(shuffler: random.Random) -> None:
    shuffled = CAPTIONS * 2
    shuffler.shuffle(shuffled)
    assert train(shuffled, CONFIG).to_dict() == train(CAPTIONS * 2, CONFIG).to_dict()


def _merges_by_definition(captions: list[str], config: TextTokenizerConfig) -> list[int]:
    """Count all pairs anew before each merge: slow, and plainly what is meant."""
    pieces = [piece for caption in captions for piece in split(normalise(caption))]
    characters = choose_characters(Counter(pieces), config)
    ids = {chr(byte): 3 + byte for byte in range(128)}
    ids |= {character: FIRST_CHARACTER + i for i, character in enumerate(characters)}
    words = [[ids.get(character, -1) for character in piece] for piece in pieces]
    flat: list[int] = []
    for merged in range(FIRST_CHARACTER + len(characters), config.n_vocab):
        counts = Counter(pair for word in words for pair in pairwise(word) if -1 not in pair)
        if not counts:
            break
        n, pair = min((-n, pair) for pair, n in counts.items())
        if -n < config.min_pair_count:
            break
        flat += pair
        for word in words:
            at = 0
            while at < len(word) - 1:
                if (word[at], word[at + 1]) == pair:
                    word[at : at + 2] = [merged]
                at += 1
    return flat


@given(st.lists(st.text("aab 苹果果红的🍎", max_size=12), max_size=12))
def test_incremental_counts_give_the_merges_of_the_definition(captions: list[str]) -> None:
    config = TextTokenizerConfig(n_vocab=300, max_characters=99, max_han_characters=99)
    assert train(captions, config).to_dict()["merges"] == _merges_by_definition(captions, config)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=8))
def test_any_captions_train_and_come_back(captions: list[str]) -> None:
    tokenizer = train(captions * 2, CONFIG)
    assert tokenizer.n_vocab <= CONFIG.n_vocab
    for caption in captions:
        assert tokenizer.decode(tokenizer.encode(caption)) == normalise(caption)


def test_no_captions_leave_the_bytes() -> None:
    assert train([], CONFIG).n_vocab == FIRST_CHARACTER


def test_equal_captions_count_each_time() -> None:
    assert count_pieces(["red cat", "Red", "red cat"]) == {" red": 3, " cat": 2}


def test_the_most_frequent_characters_are_chosen_and_rare_ones_are_not() -> None:
    counts = Counter({"苹果": 3, "果红": 3, "é": 2, "狗": 1, " cat": 9})
    assert choose_characters(counts, CONFIG) == "果红苹é"
    narrow = TextTokenizerConfig(n_vocab=FIRST_CHARACTER + 4, max_character_share=0.5)
    assert choose_characters(counts, narrow) == "果红"


@pytest.mark.parametrize(
    ("text", "longest"), [("abcdefghijklmnop", 5), ("一二三四五六七八九十", 3)]
)
def test_tokens_keep_within_their_lengths(text: str, longest: int) -> None:
    short = TextTokenizerConfig(max_characters=5, max_han_characters=3)
    free = TextTokenizerConfig(max_characters=99, max_han_characters=99)
    assert 1 < max(map(len, _tokens(train([text] * 9, short), text))) <= longest
    assert _tokens(train([text] * 9, free), text) == [text]


def test_main_writes_what_train_gives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = (tmp_path / "en.txt", tmp_path / "zh.txt")
    paths[0].write_text("\n".join(CAPTIONS[:4]), encoding="utf-8")
    paths[1].write_text("\n".join(CAPTIONS[4:]), encoding="utf-8")
    out = tmp_path / "new" / "text_tokenizer.json"
    main(TextTokenizerConfig(captions=paths, out=out, n_vocab=400))
    assert TextTokenizer.load(out).to_dict() == train(CAPTIONS, CONFIG).to_dict()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert str(out) in printed.err


def test_main_needs_captions_that_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No caption files"):
        main(TextTokenizerConfig(out=tmp_path / "t.json"))
    broken = tmp_path / "broken.txt"
    broken.write_bytes(b"\xff\n")
    for path in (broken, tmp_path / "absent.txt"):
        with pytest.raises(DataError, match=path.name):
            main(TextTokenizerConfig(captions=(path,), out=tmp_path / "t.json"))
    assert not (tmp_path / "t.json").exists()


def test_main_says_before_training_that_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = TextTokenizerConfig(captions=(tmp_path / "absent",), out=tmp_path / "file" / "t.json")
    with pytest.raises(OutputError, match="file"):
        main(config)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"n_vocab": FIRST_CHARACTER - 1}, "n_vocab"),
        ({"max_character_share": 1.1}, "max_character_share"),
        ({"min_character_count": 0}, "min_character_count"),
        ({"min_pair_count": 0}, "min_pair_count"),
    ],
)
def test_a_setting_out_of_range_is_refused(change: dict[str, int], name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        TextTokenizerConfig(**change)  # type: ignore[arg-type]

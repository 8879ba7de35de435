"""The text tokenizer: nothing is lost, ids stay in range, merges apply in their order."""

import json
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from limner.errors import InvalidRequest, OutputError, WeightsError
from limner.text.text_tokenizer import (
    EOS,
    FIRST_BYTE,
    FIRST_CHARACTER,
    PAD,
    TextTokenizer,
    normalise,
    split,
)


def _tokenizer() -> TextTokenizer:
    """苹果 and " apple" are one token each; 红 and 🍎 are known characters, 绿 is not."""
    characters = "苹果红🍎\u200d"
    ids = {c: FIRST_BYTE + ord(c) for c in " aple"}
    apple_ids = FIRST_CHARACTER + len(characters)
    merges = [
        (FIRST_CHARACTER, FIRST_CHARACTER + 1),  # 苹果
        (ids["p"], ids["p"]),
        (ids["l"], ids["e"]),
        (apple_ids + 1, apple_ids + 2),  # pp + le
        (ids[" "], ids["a"]),
        (apple_ids + 4, apple_ids + 3),  # " a" + pple
        (ids["a"], ids["a"]),
        (apple_ids + 6, ids["a"]),  # aaa
    ]
    return TextTokenizer(characters, merges)


TOKENIZER = _tokenizer()
UNICODE = st.text(st.characters(exclude_categories=["Cs"]))
# Dense in what the merges of TOKENIZER are made of, and in what normalising changes.
TRICKY = st.text(
    st.sampled_from("aple 苹果红绿的🍎👩🏽\u200d\ufe0f\ufe0eéÅİßſ，１\u0301\u0345\x00\x1c\u3000אب")
)
TEXTS = UNICODE | TRICKY


@given(TEXTS)
@example("👩🏽\u200d🚀 and 👨\u200d👩\u200d👧\u200d👦 🏴\U000e0067\U000e007f")
@example("שלום \u202eعالم\u202c")
@example("Z̵̧̛a̸l̷g̶o e\u0301 \u0344 \x00\x07\x7f\x85")
@example("𝒯𝓊𝓇𝓉𝓁𝑒 𠮷野家 \U0010ffff")
@example(" ¨a")
def test_decode_gives_the_normalised_text_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == normalise(text)


@given(TEXTS)
def test_normalise_is_idempotent(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.slow
def test_normalise_is_idempotent_on_every_code_point() -> None:
    scalars = (chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    assert [c for c in scalars if normalise(normalise(c)) != normalise(c)] == []


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("  A Red\n\tAPPLE\u3000", "a red apple"),
        ("苹果，２个！", "苹果,2个!"),
        ("❤\ufe0f ❤\ufe0e ❤", "❤ ❤ ❤"),
        ("STRASSE Straße", "strasse strasse"),
        ("ﬁsh ＲＥＤ", "fish red"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("\u2028 \x1f", ""),
    ],
)
def test_normalise_reads_as_one_what_looks_as_one(text: str, read_as: str) -> None:
    assert normalise(text) == read_as


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("red apple", [" red", " apple"]),
        ("红色的苹果", ["红色", "的", "苹果"]),
        ("t恤 苹果", [" t", "恤", " ", "苹果"]),
        ("it's 12", [" it", "'s", " 1", "2"]),
        ("a, (b)-c", [" a", ",", " ", "(", "b", ")", "-", "c"]),
        ("🍎👩\u200d🚀 a", ["🍎👩\u200d🚀", " a"]),
        ("", []),
    ],
)
def test_split_cuts_at_words_runs_and_marks(text: str, pieces: list[str]) -> None:
    assert split(text) == pieces


@given(TEXTS)
def test_split_loses_nothing(text: str) -> None:
    read = normalise(text)
    assert "".join(split(read)).removeprefix(" ") == read


def test_a_word_has_the_same_token_at_the_start_and_inside() -> None:
    one = TOKENIZER.encode("apple")
    assert len(one) == 1
    assert TOKENIZER.encode("apple Apple") == one * 2


def test_han_words_merge_and_unknown_characters_become_bytes() -> None:
    assert len(TOKENIZER.encode("苹果")) == 1
    assert len(TOKENIZER.encode("红苹果")) == 2
    assert TOKENIZER.encode("绿") == [FIRST_BYTE + byte for byte in "绿".encode()]


def test_encode_appends_nothing_and_an_empty_text_is_empty() -> None:
    assert TOKENIZER.encode("") == TOKENIZER.encode(" \n ") == []
    assert EOS not in TOKENIZER.encode("apple")


def _encoded_by_definition(tokenizer: TextTokenizer, text: str) -> list[int]:
    """Go through all merges in order, each from left to right: what the heap must equal."""
    fields = tokenizer.to_dict()
    characters, flat = fields["characters"], fields["merges"]
    ids: list[int] = []
    for piece in split(normalise(text)):
        row: list[int] = []
        for character in piece:
            if character in characters:
                row.append(FIRST_CHARACTER + characters.index(character))
            else:
                row += [FIRST_BYTE + byte for byte in character.encode()]
        for i, pair in enumerate(zip(flat[::2], flat[1::2], strict=True)):
            at = 0
            while at < len(row) - 1:
                if (row[at], row[at + 1]) == pair:
                    row[at : at + 2] = [FIRST_CHARACTER + len(characters) + i]
                at += 1
        ids += row
    return ids


@given(TEXTS)
@example("aaaaaaa aaaaa apple aapple applele")
def test_encode_equals_the_merges_applied_one_after_another(text: str) -> None:
    assert TOKENIZER.encode(text) == _encoded_by_definition(TOKENIZER, text)


@given(TEXTS)
def test_ids_of_a_text_are_in_range_and_never_special(text: str) -> None:
    assert all(FIRST_BYTE <= i < TOKENIZER.n_vocab for i in TOKENIZER.encode(text))


@given(st.lists(st.integers(0, TOKENIZER.n_vocab - 1)))
def test_decode_takes_every_row_of_ids(ids: list[int]) -> None:
    TOKENIZER.decode(ids).encode("utf-8")


@pytest.mark.parametrize("i", [-1, TOKENIZER.n_vocab])
def test_decode_refuses_an_id_out_of_range(i: int) -> None:
    with pytest.raises(ValueError, match=rf"0 to {TOKENIZER.n_vocab - 1}: {i}"):
        TOKENIZER.decode([i])


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="surrogate") as caught:
        TOKENIZER.encode("a \ud83c cat")
    assert caught.value.param == "prompt"


def test_padded_rows_hold_text_then_eos_then_padding_and_count_the_cut() -> None:
    (apple,) = TOKENIZER.encode("apple")
    rows, n_cut = TOKENIZER.encode_padded(["", "apple", "apple apple", "apple " * 5], 3)
    assert rows.tolist() == [
        [EOS, PAD, PAD],
        [apple, EOS, PAD],
        [apple, apple, EOS],
        [apple, apple, EOS],
    ]
    assert rows.dtype == np.int64
    assert n_cut == [0, 0, 0, 3]


def test_padded_rows_can_leave_eos_out() -> None:
    (apple,) = TOKENIZER.encode("apple")
    rows, n_cut = TOKENIZER.encode_padded(["apple", "apple " * 3], 2, eos=False)
    assert rows.tolist() == [[apple, PAD], [apple, apple]]
    assert n_cut == [0, 1]


@given(st.lists(TEXTS, max_size=4), st.integers(1, 12))
def test_a_row_does_not_depend_on_its_batch(texts: list[str], length: int) -> None:
    rows, n_cut = TOKENIZER.encode_padded(texts, length)
    assert rows.shape == (len(texts), length)
    for text, row, cut in zip(texts, rows, n_cut, strict=True):
        alone, cut_alone = TOKENIZER.encode_padded([text], length)
        assert (alone[0] == row).all()
        assert cut_alone == [cut]


def test_a_padded_row_needs_room() -> None:
    with pytest.raises(ValueError, match="at least 1: 0"):
        TOKENIZER.encode_padded(["apple"], 0)


@given(TEXTS)
def test_a_copy_through_dict_or_pickle_encodes_the_same(text: str) -> None:
    for copy in (TextTokenizer.load(TOKENIZER.to_dict()), pickle.loads(pickle.dumps(TOKENIZER))):
        assert copy.encode(text) == TOKENIZER.encode(text)


def test_save_and_load_give_an_equal_tokenizer(tmp_path: Path) -> None:
    TOKENIZER.save(tmp_path / "t.json")
    loaded = TextTokenizer.load(tmp_path / "t.json")
    assert loaded.to_dict() == TOKENIZER.to_dict()
    assert loaded.n_vocab == TOKENIZER.n_vocab == FIRST_CHARACTER + 5 + 8


def test_an_unwritable_path_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="none"):
        TOKENIZER.save(tmp_path / "none" / "t.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "other"}, "its kind must be"),
        ({"format": 2}, "format 2"),
        ({"merges": [3]}, "pairs of merges"),
        ({"characters": None}, "pairs of merges"),
        ({"characters": "果果"}, "listed twice"),
        ({"characters": "a"}, "ASCII"),
        ({"merges": [100, 101, 100, 101]}, "listed twice"),
        ({"merges": [100, FIRST_CHARACTER + 5]}, "joins"),  # joins itself
        ({"merges": [PAD, 100]}, "joins"),
        ({"merges": [100.0, 101]}, "whole numbers"),
        ({"merges": [[], 101]}, "whole numbers"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(TOKENIZER.to_dict() | change))
    with pytest.raises(WeightsError, match=words) as caught:
        TextTokenizer.load(path)
    assert str(path) in caught.value.message


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]"])
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(WeightsError, match=r"t\.json"):
        TextTokenizer.load(tmp_path / "t.json")


def test_a_missing_file_is_a_weights_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"not found: .*t\.json"):
        TextTokenizer.load(tmp_path / "t.json")


def test_one_endless_word_is_encoded_in_good_time() -> None:
    text = "pa" * 16_000
    start_s = time.process_time()
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
    # 0.1 s here; a merge loop that rescans the word after each merge takes minutes.
    assert time.process_time() - start_s < 5


def test_drawing_needs_no_torch_for_its_text() -> None:
    code = "import sys, limner.text.text_tokenizer; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

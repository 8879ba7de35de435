import pytest

from limner.data.captions import STYLES
from limner.data.emoji import splits, words
from limner.data.emoji.art import FURTHER_ARTISTS, JUDGE_ARTISTS, TRAINING_ARTISTS
from limner.data.emoji.concepts import Concept, hand_table


def _concept(family: str) -> Concept:
    return Concept(family, {"en": family}, family=family)


def test_the_hash_never_changes() -> None:
    """Another value here means other splits: every published figure would be void."""
    assert splits.fraction("pairs", "1F34E|1F408") == pytest.approx(0.7424977096701668, abs=1e-12)
    assert splits.fraction("concepts", "name:calculator") == pytest.approx(
        0.6752132887942909, abs=1e-12
    )


def test_the_record_follows_from_its_own_rule() -> None:
    record = splits.table()
    assert len(record["unseen_concept"]) > 60
    assert record["unseen_concept"] == sorted(set(record["unseen_concept"]))
    assert all(
        splits.fraction("concepts", family) < record["rates"]["concepts"]
        for family in record["unseen_concept"]
    )
    for lang in ("en", "zh"):
        assert len(record["paraphrase"][lang]) > 100
        assert all(
            splits.fraction("synonyms", text) < record["rates"]["synonyms"]
            for text in record["paraphrase"][lang]
        )


def test_variants_of_a_held_out_concept_are_held_out_by_family() -> None:
    family = splits.table()["unseen_concept"][0]
    assert splits.is_held_out_concept(Concept("other key", {"en": "x"}, family=family))
    assert not splits.is_held_out_concept(_concept("1F34E"))


def test_the_judge_and_the_held_out_artist_are_never_trained_on() -> None:
    seen = _concept("1F34E")
    assert splits.HELD_OUT_ARTIST in JUDGE_ARTISTS
    assert not any(splits.may_train_on(artist, seen) for artist in JUDGE_ARTISTS)
    assert all(splits.may_train_on(artist, seen) for artist in TRAINING_ARTISTS)
    held_out = _concept(splits.table()["unseen_concept"][0])
    assert not any(splits.may_train_on(artist, held_out) for artist in TRAINING_ARTISTS)


def test_further_artists_are_trained_on_and_hold_out_the_same() -> None:
    held_out = _concept(splits.table()["unseen_concept"][0])
    for artist in FURTHER_ARTISTS:
        assert splits.may_train_on(artist, _concept("1F34E"))
        assert not splits.may_train_on(artist, held_out)
        assert splits.belongs("train", artist, _concept("1F34E"))
        assert not splits.belongs("unseen_artist", artist, _concept("1F34E"))


def test_a_held_out_name_is_found_within_another() -> None:
    held_out = Concept("x", {"en": "helicopter"}, family=splits.table()["unseen_concept"][0])
    names = splits.held_out_names([held_out, Concept("1F34E", {"en": "apple"}, family="1F34E")])
    assert names.search("rescue Helicopters")
    assert not names.search("apple core")
    assert not names.search("helicopterish")
    assert not splits.held_out_names([]).search("")


@pytest.mark.parametrize("split", splits.SPLITS)
def test_each_split_shows_what_it_is_for(split: str) -> None:
    seen, held_out = _concept("1F34E"), _concept(splits.table()["unseen_concept"][0])
    artist = "emojione" if split == "unseen_artist" else "noto"
    assert splits.belongs(split, artist, seen) == (split != "unseen_concept")
    assert splits.belongs(split, artist, held_out) == (split == "unseen_concept")
    assert not splits.belongs(split, "noto" if split == "unseen_artist" else "emojione", seen)
    assert not splits.belongs(split, "fxemoji", seen)


def test_a_pair_is_held_out_in_both_orders() -> None:
    ideas = [_concept(f"idea{number}") for number in range(40)]
    held = {(a.key, b.key) for a in ideas for b in ideas if splits.is_held_out_pair(a, b)}
    assert held == {(b, a) for a, b in held}
    assert 0.05 < len(held) / len(ideas) ** 2 < 0.15


def test_one_of_a_kind_is_no_count() -> None:
    assert not any(splits.is_held_out_count(f"idea{number}", 1) for number in range(200))
    shares = [splits.is_held_out_count(f"idea{number}", 3) for number in range(400)]
    assert 0.08 < sum(shares) / len(shares) < 0.25


def test_synonyms_are_rare_tags() -> None:
    rows = [
        Concept(str(number), {"en": f"label {number}"}, {"en": ("animal", f"only {number}")})
        for number in range(5)
    ]
    assert splits.synonyms(rows, "en")["3"] == ("only 3",)


def test_a_new_record_never_holds_out_a_label_or_the_last_synonym() -> None:
    rows = {
        str(number): Concept(
            str(number),
            {"en": f"thing {number}", "zh": f"东西{number}"},
            {"en": (f"alias {number}", f"thing {number}x", f"other {number}"), "zh": ("唯一",)},
            family=str(number),
        )
        for number in range(30)
    }
    rows["99"] = Concept("99", {"en": "alias 3 of a kind"}, family="99")
    record = splits.make_table(rows, "salt", {"concepts": 0.5, "synonyms": 1.0})
    assert "alias 4" in record["paraphrase"]["en"]
    assert "alias 3" not in record["paraphrase"]["en"]  # it is written in a label
    assert record["paraphrase"]["zh"] == []  # each concept would have none left
    assert 5 < len(record["unseen_concept"]) < 26


def test_no_word_of_ours_is_a_held_out_synonym() -> None:
    """Colours, styles, relations and hand-made names are said in training captions."""
    english = [*words.table("en")["labels"].values(), "left of", "next to", "background"]
    chinese = [*words.table("zh")["labels"].values(), *words.table("zh")["colours"].values()]
    for name, labels in hand_table()["labels"].items():
        english.append(labels.get("en", name.replace("-", " ")))
        chinese += [labels["zh"]] if "zh" in labels else []
    for style in STYLES.values():
        english += style["en"]
        chinese += style["zh"]
    assert [text for text in english if splits.is_held_out_synonym(text, "en")] == []
    assert [text for text in chinese if splits.is_held_out_synonym(text, "zh")] == []


def test_a_text_that_contains_a_held_out_synonym_is_held_out() -> None:
    english, chinese = (
        splits.table()["paraphrase"]["en"][50],
        splits.table()["paraphrase"]["zh"][50],
    )
    assert splits.is_held_out_synonym(f"a {english.upper()}!", "en")
    assert not splits.is_held_out_synonym(f"x{english}x", "en")
    assert splits.is_held_out_synonym(f"一个{chinese}吧", "zh")
    assert not splits.is_held_out_synonym(english, "fr")

"""A name says by itself whether this database made it."""

from __future__ import annotations

import pytest

from limner.request import Format
from limner.storage.blobs.names import PATTERN, Names, temporary

NAMES = Names(b"of the tests")


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_own_names_are_known_and_no_others(format: Format) -> None:
    made = {NAMES.make(format) for _ in range(200)}
    assert len(made) == 200
    for name in made:
        assert PATTERN.fullmatch(name)
        assert NAMES.owns(name)
        assert Names(b"of the tests").owns(name)
        assert not Names(b"of others").owns(name)
        assert NAMES.owns_temporary(temporary(name))


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name.upper(),
        lambda name: f"{name}.part",
        lambda name: f"more/{name}",
        lambda name: f"{name}\n",
        lambda name: name.replace(".png", ".bmp"),
        lambda name: f"img-{name[5:]}",
        lambda name: f"img-{'x' * 14}{name[18:]}",
        lambda name: temporary(name),
        lambda name: "",
    ],
)
def test_changed_names_are_not_known(change: object) -> None:
    assert callable(change)
    name = change(NAMES.make("png"))
    assert not NAMES.owns(name)


def test_a_name_tells_its_request_and_number() -> None:
    made = {NAMES.make("png", "req_1", 3) for _ in range(200)}
    assert len(made) == 200
    for name in made:
        assert PATTERN.fullmatch(name)
        assert NAMES.owns(name)
        assert NAMES.is_of(name, "req_1", 3)
        for other in (("req_1", 2), ("req_2", 3), ("req_13", 3), ("", 0)):
            assert not NAMES.is_of(name, *other)
        assert not Names(b"of others").is_of(name, "req_1", 3)
    assert not NAMES.is_of(NAMES.make("png"), "req_1", 3)

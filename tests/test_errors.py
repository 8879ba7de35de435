"""One family: each class is caught as LimnerError and says what, and the way out."""

import pickle

import pytest

from limner import errors
from limner.errors import InvalidRequest, LimnerError

FAMILY = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, LimnerError)
]


@pytest.mark.parametrize("kind", FAMILY)
def test_text_is_message_then_empty_line_then_hint(kind: type[LimnerError]) -> None:
    assert str(kind("It broke")) == "It broke"
    assert str(kind("It broke", hint="mend it")) == "It broke\n\nhint: mend it"


@pytest.mark.parametrize("kind", FAMILY)
def test_survives_the_way_to_another_process(kind: type[LimnerError]) -> None:
    error = pickle.loads(pickle.dumps(kind("It broke", hint="mend it")))
    assert (type(error), error.message, error.hint) == (kind, "It broke", "mend it")


def test_exit_codes_and_codes_tell_the_classes_apart() -> None:
    # A wrong flag and a wrong setting are both wrong use: 2, as of every command. A refusal is a
    # failure of an engine.
    codes = {kind.__name__: kind.exit_code for kind in FAMILY}
    assert codes["InvalidRequest"] == codes["SettingsError"] == 2
    assert codes["Refused"] == codes["EngineError"]
    others = [code for name, code in codes.items() if name not in ("InvalidRequest", "Refused")]
    assert len(set(others)) == len(others)
    assert all(0 < code < 126 for code in others)  # from 126 on, codes are the shell's
    assert len({kind.code for kind in FAMILY if kind is not InvalidRequest}) == len(FAMILY) - 1


def test_invalid_request_names_the_field_and_a_code() -> None:
    error = InvalidRequest("n is 11", param="n", code="integer_above_max_value")
    assert (error.param, error.code) == ("n", "integer_above_max_value")
    assert InvalidRequest("bad").code == "invalid_value"

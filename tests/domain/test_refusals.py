"""What every refusal says, whatever it is about."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from tallymark_server.domain import errors
from tallymark_server.domain.errors import RegistryError, remembered
from tallymark_server.domain.errors import MESSAGE_BYTES, VALUE_BYTES

LEAVES = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, RegistryError) and hasattr(each, "reason")
]
# The longest name that there may be, and text that nobody should see as it is.
LONGEST, HOSTILE = "😀" * 255, "a\x00\u202e\nb" * 1000


def refusal(leaf: type[RegistryError], text: str) -> RegistryError:
    """A refusal of that kind, about things of that name."""
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(leaf.__init__).parameters.items():
        if name != "self" and parameter.default is inspect.Parameter.empty:
            given[name] = 7 if parameter.annotation == "int" else text
    return leaf(**given)


@pytest.mark.parametrize("text", [LONGEST, HOSTILE], ids=["longest", "hostile"])
def test_a_refusal_fits_where_it_is_sent(text: str) -> None:
    """Message and data have a bound in bytes, beyond which a status would not fit into its headers."""
    for error in (refusal(leaf, text) for leaf in LEAVES):
        assert 0 < len(str(error).encode()) <= MESSAGE_BYTES, error
        assert all(len(value.encode()) <= VALUE_BYTES for value in error.metadata.values()), error


def test_a_refusal_names_what_it_is_about_in_full() -> None:
    """A program finds names of models and versions in the data uncut, however long they are."""
    for error in (refusal(leaf, LONGEST) for leaf in LEAVES):
        named = {error.metadata[key] for key in ("model", "version", "alias") if key in error.metadata}
        assert named <= {LONGEST}, error


def test_a_refusal_is_remembered_in_full() -> None:
    """From its reason, message and data the same refusal is made again."""
    for error in (refusal(leaf, LONGEST) for leaf in LEAVES):
        again = remembered(error.reason, str(error), error.metadata)
        assert (type(again), str(again), again.metadata) == (type(error), str(error), error.metadata)


def test_each_refusal_has_a_reason_of_its_own() -> None:
    """No two kinds of refusal have the same reason, and a reason that is unknown means none."""
    assert len({leaf.reason for leaf in LEAVES}) == len(LEAVES) > 30
    with pytest.raises(KeyError):
        remembered("NO_SUCH_REASON", "", {})

"""References to versions, as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallymark_server.domain.errors import InvalidField, RegistryError, ReservedName
from tallymark_server.domain.model import Stage
from tallymark_server.domain.reference import LATEST, By, aliased, in_stage, named, numbered, parse, parse_selector


@pytest.mark.parametrize(
    ("segment", "reference"),
    [
        ("41", numbered(41)),
        ("٤١", numbered(41)),
        ("latest", LATEST),
        ("@production", in_stage(Stage.PRODUCTION)),
        ("@staging", in_stage(Stage.STAGING)),
        ("@champion", aliased("champion")),
        ("=1.0.5", named("1.0.5")),
    ],
)
def test_a_segment_means_one_thing(segment: str, reference: object) -> None:
    """Number, latest, stage, alias and name are distinguished by how they are written."""
    assert parse(segment) == reference


@pytest.mark.parametrize("segment", ["", "1.0.5", "production", "Latest", "0", "99999999999", "9" * 5000, "@", "="])
def test_a_segment_that_means_nothing_is_refused(segment: str) -> None:
    """A bare word is neither a name nor a stage: the grammar has a mark for each."""
    with pytest.raises(RegistryError):
        parse(segment)


def test_a_refused_word_is_answered_with_its_right_spelling() -> None:
    """The refusal of a word without its mark suggests the right mark."""
    with pytest.raises(InvalidField, match="did you mean =1.0.5"):
        parse("1.0.5")
    with pytest.raises(InvalidField, match="did you mean @production"):
        parse("production")


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("", None),
        ("41", numbered(41)),
        ("latest", LATEST),
        ("production", in_stage(Stage.PRODUCTION)),
        ("@production", in_stage(Stage.PRODUCTION)),
        ("@champion", aliased("champion")),
        ("1.0.5", named("1.0.5")),
        ("=1.0.5", named("1.0.5")),
    ],
)
def test_a_config_means_one_thing(text: str, reference: object) -> None:
    """In `Model(name, version)` a bare word is a name, and the words for stages are stages."""
    assert parse_selector(text) == reference


@pytest.mark.parametrize("text", ["Production", "LATEST", "archived", "none", "@archived"])
def test_a_config_that_misspells_a_stage_is_refused(text: str) -> None:
    """A stage in the wrong letter case, or one that many versions share, means no version."""
    with pytest.raises(ReservedName):
        parse_selector(text)


@given(st.text(max_size=40))
def test_a_reference_is_read_as_it_is_written(text: str) -> None:
    """Whatever parses is written so that it parses to the same."""
    try:
        reference = parse(text)
    except RegistryError:
        return
    assert parse(str(reference)) == reference
    assert reference.by is not By.NUMBER or int(reference.value) >= 1

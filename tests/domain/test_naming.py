"""What a name may be."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallymark_server.domain import naming
from tallymark_server.domain.errors import InvalidField, InvalidName, ReservedName, ValueTooLarge


@pytest.mark.parametrize(
    "name", ["churn", "1.0.5", "v-1", "½", "a b", "模型", "é" * 255, "run 2026-11-23", "😀", "a" * 255]
)
def test_a_sensible_name_is_taken_as_it_is(name: str) -> None:
    """Any text of 1 to 255 characters without separators and control characters is a name."""
    assert naming.version_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " a",
        "a ",
        "\u00a0a",
        "a/b",
        "a@b",
        "a=b",
        "a:b",
        "a\nb",
        "a\x00b",
        "\x7f",
        "a\u2028b",
        "a\u202eb",
        "zw\u200b",
        "a\ufeffb",
        "a" * 256,
        "-1",
        "--help",
        ".",
        "..",
        "a\u200db",
        "zero\u034fwidth",
        "hangul\u3164filler",
        "tag\U000e0041",
        "blank\u2800",
        "variation\ufe0f",
        "old\u180e",
        "private\ue000",
        "thin\u2009space",
    ],
)
def test_a_name_that_breaks_the_rule_is_refused(name: str) -> None:
    """Empty, too long, spaced at an end, with a separator or a control character: no name."""
    with pytest.raises(InvalidName) as caught:
        naming.model_name(name)
    assert caught.value.metadata["field"] == "model_id"


@pytest.mark.parametrize("name", ["می\u200cخواهم", "क्\u200dष", "ශ්\u200dරී"])
def test_a_script_keeps_the_joiners_that_it_needs(name: str) -> None:
    """Persian and Indic names are written with joiners that elsewhere would only deceive."""
    assert naming.model_name(name) == name


def test_a_long_name_is_refused_before_it_is_normalized() -> None:
    """A million combining marks, which would take half an hour to normalize, are refused by their number."""
    marks = "a" + "\u0301\u0323" * 500_000
    for refused in (naming.model_name, naming.version_name, lambda text: naming.tags((text,))):
        with pytest.raises((InvalidName, InvalidField)) as caught:
            refused(marks)
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["7", "007", "٣", "४२", "²", "１２", "①"])
def test_a_version_is_never_named_by_digits_alone(name: str) -> None:
    """Digits of any script always mean a number."""
    with pytest.raises(ReservedName):
        naming.version_name(name)


@pytest.mark.parametrize("word", sorted(naming.RESERVED))
def test_a_version_is_never_named_like_a_stage(word: str) -> None:
    """Stages and `latest` mean themselves, in any letter case and width."""
    for name in (word, word.upper(), word.title(), "".join(chr(ord(ch) + 0xFEE0) for ch in word)):
        with pytest.raises(ReservedName):
            naming.version_name(name)


def test_a_model_may_be_named_by_a_word_that_a_version_may_not() -> None:
    """The reserved words are reserved among versions only."""
    assert naming.model_name("latest") == "latest"
    assert naming.model_name("2026") == "2026"


def test_names_that_look_the_same_are_the_same() -> None:
    """A name is brought to Unicode NFC, whichever way it was typed."""
    assert naming.model_name("cafe\u0301") == naming.model_name("caf\u00e9") == "caf\u00e9"


@given(st.text(max_size=300))
def test_a_name_once_taken_is_taken_again_unchanged(text: str) -> None:
    """Checking a name is idempotent, and what it lets through obeys the rule, whatever the text."""
    try:
        name = naming.version_name(text)
    except (InvalidName, ReservedName):
        return
    assert naming.version_name(name) == name
    assert 1 <= len(name) <= 255
    assert not set(name) & set("/@=:")
    assert name == name.strip()
    assert unicodedata.is_normalized("NFC", name)
    assert not name.isdigit()


def test_tags_are_a_sorted_set() -> None:
    """Tags come once each, in code point order."""
    assert naming.tags(("b", "a", "b", "é", "e\u0301")) == ("a", "b", "é")


@pytest.mark.parametrize("tag", ["", "x" * 256, "a\nb", " a"])
def test_a_tag_that_cannot_be_shown_is_refused(tag: str) -> None:
    """A tag has 1 to 255 characters, none of them invisible."""
    with pytest.raises(InvalidField):
        naming.tags((tag,))


def test_too_many_tags_are_refused() -> None:
    """At most a hundred tags."""
    with pytest.raises(ValueTooLarge):
        naming.tags(tuple(map(str, range(101))))


def test_prose_has_no_null() -> None:
    """U+0000 is refused by the name of the field, and other control characters are text."""
    assert naming.prose("a\x01\n", "description") == "a\x01\n"
    with pytest.raises(InvalidField, match="description"):
        naming.prose("a\0b", "description")


def test_prose_is_limited_in_bytes() -> None:
    """A text field takes 65,535 bytes of UTF-8, however many characters these are."""
    assert naming.prose("é" * 32_767, "description")
    with pytest.raises(ValueTooLarge):
        naming.prose("é" * 32_768, "description")

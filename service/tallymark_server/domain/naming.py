"""The rules for names, the same for creating, renaming and looking up."""

from __future__ import annotations

import functools
import re
import unicodedata

from tallymark_server.domain.errors import InvalidField, InvalidName, ReservedName, ValueTooLarge

MAX_NAME = 255
MAX_TEXT = 65_535
MAX_TAGS = 100
MAX_REQUEST_ID = 100
MAX_CALLER = 100
RESERVED = frozenset({"none", "staging", "production", "archived", "latest"})

# Between a caller and whom it acts for. No name of a caller has it, so the first one in an actor separates the two.
_FOR = " for "
_SEPARATORS = frozenset("/@=:")
# Unicode calls it a symbol, so the standard allows it, but it looks blank.
_BRAILLE_BLANK = "\u2800"
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_RUN_ID = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)
_PROJECT = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)


def model_name(text: str, field: str = "model_id") -> str:
    """Return the model name in Unicode NFC. Raises InvalidName if the text cannot be one.

    A name is 1 to 255 characters of PRECIS FreeformClass (RFC 8264): nothing invisible, no control character, no
    override of the writing direction, and joiners only where a script needs them.
    """
    if len(text) <= MAX_NAME and _PLAIN.fullmatch(text):
        return text
    # Normalizing takes time that grows with the square of the length, so the length is checked before and after.
    normal = unicodedata.normalize("NFC", text) if len(text) <= MAX_NAME else text
    if not normal:
        raise InvalidName(field, text, "is empty")
    if len(normal) > MAX_NAME:
        raise InvalidName(field, text[:MAX_NAME], f"has {len(normal):,} characters")
    _check_ends(normal, field)
    for ch in normal:
        if ch in _SEPARATORS:
            raise InvalidName(field, normal, f"contains {ch!r}")
    _check_characters(normal, field)
    return normal


def _check_ends(text: str, field: str) -> None:
    if text[0].isspace() or text[-1].isspace():
        raise InvalidName(field, text, "has a space at an end")
    if text[0] == "-":
        raise InvalidName(field, text, "begins with '-', which commands take for an option")
    if text in (".", ".."):
        raise InvalidName(field, text, "means a folder")


@functools.lru_cache(maxsize=1024)
def _check_characters(text: str, field: str) -> None:
    if text.isascii() and text.isprintable():
        return
    # Imported here, since most names are plain and the server must start fast.
    from precis_i18n.baseclass import FreeFormClass
    from precis_i18n.unicode import UnicodeData

    try:
        FreeFormClass(UnicodeData()).enforce(text)
    except UnicodeEncodeError as error:
        found = text[error.start]
        raise InvalidName(field, text, f"contains U+{ord(found):04X}, which is invisible or deceives") from None
    for ch in text:
        if ch == _BRAILLE_BLANK or (ch.isspace() and ch != " "):
            raise InvalidName(field, text, f"contains the blank U+{ord(ch):04X}")


def version_name(text: str, field: str = "version_name") -> str:
    """Return the explicit version name in Unicode NFC. Raises InvalidName or ReservedName."""
    text = model_name(text, field)
    if text.isdigit():
        raise ReservedName(field, text, "is all digits, which always means a number")
    word = unicodedata.normalize("NFKC", text).casefold()
    if word in RESERVED:
        meaning = "means the highest number" if word == "latest" else f"means the stage {word!r}, which is written so"
        raise ReservedName(field, text, meaning)
    return text


def run_id(text: str, field: str = "run_id") -> str:
    """Return the run id. Raises InvalidField if it cannot be one."""
    if not _RUN_ID.fullmatch(text):
        raise InvalidField(field, text, "a run id has 1 to 100 of the characters A-Z a-z 0-9 . _ -")
    return text


def project_name(text: str, field: str = "project") -> str:
    """Return the project name. Raises InvalidField if it cannot be one."""
    if not _PROJECT.fullmatch(text):
        raise InvalidField(
            field, text, "a project name has 1 to 63 of the characters a-z 0-9 - and starts with a letter"
        )
    return text


def request_id(value: str) -> str:
    """Return the request id, empty for none. Raises InvalidField if it cannot be one."""
    if value and not (len(value) <= MAX_REQUEST_ID and value.isascii() and value.isprintable() and " " not in value):
        raise InvalidField("request_id", value, "a request id has up to 100 visible ASCII characters")
    return value


def prose(value: str, field: str) -> str:
    """Return the text of a field for prose: up to 65,535 bytes of UTF-8. Raises ValueTooLarge or InvalidField."""
    size = len(value) if value.isascii() else len(value.encode())
    if size > MAX_TEXT:
        raise ValueTooLarge(field, MAX_TEXT, "bytes", size)
    without_null(value, field)
    return value


def without_null(text: str, field: str) -> None:
    """Raise InvalidField if the text has U+0000, which not every engine can store."""
    if "\0" in text:
        raise InvalidField(field, "a text with U+0000", "no text has that character; leave it out")


def tags(values: tuple[str, ...], field: str = "tags") -> tuple[str, ...]:
    """Return the tags, sorted by code point and without duplicates. Raises an error if one is invalid."""
    if not values:
        return ()
    if len(values) > MAX_TAGS:
        raise ValueTooLarge(field, MAX_TAGS, "tags", len(values))
    # Normalized only after the length check, and checked again, since normalizing can lengthen a text.
    normal = {unicodedata.normalize("NFC", plain_label(value, field)) for value in values}
    return tuple(sorted(plain_label(value, field) for value in normal))


def caller_name(value: str, field: str) -> str:
    """Return the name of a caller: 1 to 100 characters, none of them a control character, without ` for `."""
    if len(value) > MAX_CALLER:
        raise InvalidField(field, value[:MAX_CALLER], f"the name of a caller has 1 to {MAX_CALLER} characters")
    if _FOR in value:
        raise InvalidField(field, value, "` for ` joins a caller with whom it acts for, so no name has it")
    return plain_label(value, field)


def on_behalf(caller: str, other: str, field: str) -> str:
    """Return the actor of a change that a caller makes for somebody else: `ci for ann`. Raises InvalidField."""
    return caller if caller == other else plain_label(f"{caller}{_FOR}{other}", field)


def plain_label(value: str, field: str) -> str:
    """Return a tag or a metadata key: 1 to 255 characters, none of them a control character."""
    if not 1 <= len(value) <= MAX_NAME:
        raise InvalidField(field, value[:MAX_NAME], "it needs 1 to 255 characters")
    if not value.isprintable() or value.strip() != value:
        raise InvalidField(field, value, "it takes no control character, and no space at either end")
    return value

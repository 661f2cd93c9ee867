"""References to versions: one grammar for gRPC, the dashboard and the commands.

The last segment of a resource name is one of

    41             the version of that number; all digits always mean a number
    latest         the version of the highest number
    @production    the version in that stage; also @staging
    @champion      the version at which that alias points
    =1.0.5         the version of that explicit name
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from tallymark_server.domain import naming
from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.model import Stage

MAX_NUMBER = 2**31 - 1


class By(enum.Enum):
    """The kind of a reference."""

    NUMBER = "number"
    NAME = "name"
    LATEST = "latest"
    STAGE = "stage"
    ALIAS = "alias"


class Reference(NamedTuple):
    """A reference to a version of a model."""

    by: By
    value: str | int = ""

    def __str__(self) -> str:
        match self.by:
            case By.NUMBER:
                return str(self.value)
            case By.LATEST:
                return "latest"
            case By.NAME:
                return f"={self.value}"
            case By.STAGE | By.ALIAS:
                return f"@{self.value}"


LATEST = Reference(By.LATEST)


def numbered(number: int) -> Reference:
    """Return the reference to the version of that number."""
    return Reference(By.NUMBER, number)


def named(name: str) -> Reference:
    """Return the reference to the version of that explicit name."""
    return Reference(By.NAME, name)


def in_stage(stage: Stage) -> Reference:
    """Return the reference to the version in that stage."""
    return Reference(By.STAGE, stage.value)


def aliased(alias: str) -> Reference:
    """Return the reference to the version at which that alias points."""
    return Reference(By.ALIAS, alias)


def parse(segment: str, field: str = "name") -> Reference:
    """Return the reference in the last segment of a version's resource name. Raises InvalidField and others."""
    if segment.isdecimal():
        return numbered(_number(segment, field))
    if segment == "latest":
        return LATEST
    if segment.startswith("@"):
        return _pointer(segment[1:], field)
    if segment.startswith("="):
        return named(naming.version_name(segment[1:], field))
    meant = "@" if segment in naming.RESERVED else "="
    raise InvalidField(
        field,
        segment,
        f"name a version by number (41), latest, @production, @staging, @ALIAS, or =NAME; did you mean"
        f" {meant}{segment}?",
    )


def parse_selector(text: str, field: str = "version") -> Reference | None:
    """Return the reference in the `version` of a `Model(name, version)`, None for automatic numbering."""
    if not text:
        return None
    if text.isdecimal():
        return numbered(_number(text, field))
    if text in ("latest", Stage.PRODUCTION.value, Stage.STAGING.value):
        return LATEST if text == "latest" else in_stage(Stage(text))
    if text.startswith("@"):
        return _pointer(text[1:], field)
    return named(naming.version_name(text.removeprefix("="), field))


def _pointer(text: str, field: str) -> Reference:
    if text in (Stage.PRODUCTION.value, Stage.STAGING.value):
        return in_stage(Stage(text))
    return aliased(naming.version_name(text, field))


def _number(text: str, field: str) -> int:
    # int() refuses thousands of digits, and no model has that many versions.
    number = int(text) if len(text) <= len(str(MAX_NUMBER)) else MAX_NUMBER + 1
    if not 1 <= number <= MAX_NUMBER:
        raise InvalidField(field, text, f"numbers go from 1 to {MAX_NUMBER:,}")
    return number

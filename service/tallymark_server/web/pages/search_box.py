"""Convert the text of a search field to a filter of the contract."""

from __future__ import annotations

import re

from tallymark_server.domain import reference
from tallymark_server.domain.errors import RegistryError
from tallymark_server.domain.naming import model_name
from tallymark_server.domain.reference import Reference

# What only a filter has; any other text is searched for.
_FILTER = re.compile(r"[=<>:]|\b(AND|OR|NOT)\b")
# `churn/41`, `churn@champion`, `churn==1.0.5`: as the README writes it for people.
_SHORT = re.compile(r"([^/@=:]+)(?:/([^/@=:]+)|(@[^/@=:]+)|=(=[^/@=:]+))")


def quoted(text: str) -> str:
    """Return the text quoted for a filter."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def models(search: str) -> str:
    """Return the filter of models for the text: a filter itself, or a part of a name, a tag or a creator."""
    return search if not search or _FILTER.search(search) else _any_of(search, "name", "description", "creator")


def versions(search: str) -> str:
    """Return the filter of versions for the text. A number means that version."""
    number = search.lower().removeprefix("no.").removeprefix("#").strip()
    if number.isdecimal() and len(number) < 11:
        return f"number = {number}"
    return search if not search or _FILTER.search(search) else _any_of(search, "version_name", "creator", "run")


def runs(search: str) -> str:
    """Return the filter of runs for the text: a filter itself, or a part of what identifies a run."""
    if not search or _FILTER.search(search):
        return search
    return _parts(search, "run", "pipeline", "creator", "host", "user", "commit", "error")


def _any_of(search: str, *fields: str) -> str:
    return f"{_parts(search, *fields)} OR tags:{quoted(search)}"


def _parts(search: str, *fields: str) -> str:
    part = quoted(f"*{search}*")
    return " OR ".join(f"{field} = {part}" for field in fields)


def short(text: str) -> tuple[str, Reference] | None:
    """Return the model and version of a short reference, None if the text is none."""
    found = _SHORT.fullmatch(text)
    if found is None:
        return None
    name, number, pointer, named = found.groups()
    try:
        return model_name(name), reference.parse(number or pointer or named)
    except RegistryError:
        return None

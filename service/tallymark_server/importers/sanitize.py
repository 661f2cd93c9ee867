"""Adapt names, labels and values to the rules: unchanged if they are valid, else similar, and reported."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping

from tallymark_server.domain import metadata, naming
from tallymark_server.domain.errors import RegistryError, ValueTooLarge
from tallymark_server.domain.model import Stage, Value
from tallymark_server.importers.source_model import Report

_UNFIT = re.compile(r"[/@=:\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NO_RUN_ID = re.compile(r"[^A-Za-z0-9._-]")


def fit_name(
    text: str, rule: Callable[[str], str], taken: Container[str], report: Report, where: str, what: str = "name"
) -> str:
    """Return the name if it is valid and free, else a similar one."""
    name = _allowed(text, rule)
    if name is None:
        name = _allowed(_UNFIT.sub("-", text).strip()[: naming.MAX_NAME], rule)
    if name is None:
        # It has only digits, is a reserved word, or is empty.
        name = _allowed(f"name-{_UNFIT.sub('-', text).strip()}"[: naming.MAX_NAME], rule) or "unnamed"
    base, count = name, 2
    while name in taken:
        name, count = f"{base[: naming.MAX_NAME - 8]}-{count}", count + 1
    if name != text:
        report.lost(where, f"its {what} {text!r} cannot be one here; it is {name!r} now")
    return name


def _allowed(text: str, rule: Callable[[str], str]) -> str | None:
    try:
        return rule(text)
    except RegistryError:
        return None


def fit_run_id(text: str) -> str:
    """Return the run's id with invalid characters replaced."""
    return _NO_RUN_ID.sub("-", text)[:100] or "run"


def fit_text(text: str, report: Report, where: str) -> str:
    """Return the text without U+0000, cut to the length of the field."""
    if "\0" in text:
        report.lost(where, "has U+0000, which is left out")
        text = text.replace("\0", "")
    raw = text.encode()
    if len(raw) <= naming.MAX_TEXT:
        return text
    report.lost(where, f"is longer than {naming.MAX_TEXT:,} bytes, and is cut there")
    return raw[: naming.MAX_TEXT].decode(errors="ignore")


def fit_tags(values: Iterable[str], report: Report, where: str) -> tuple[str, ...]:
    """Return the labels that are valid tags."""
    fitting = []
    for value in values:
        try:
            fitting.append(naming.plain_label(value, "tag"))
        except RegistryError as error:
            report.lost(where, f"tag {value!r} is left out: {error}")
    kept = sorted(set(fitting))
    for value in kept[naming.MAX_TAGS :]:
        report.lost(where, f"tag {value!r} is left out: there are more than {naming.MAX_TAGS}")
    return naming.tags(tuple(kept[: naming.MAX_TAGS]))


def fit_facts(
    facts: Mapping[str, Value], report: Report, where: str, among: Mapping[str, Value] | None = None
) -> dict[str, Value]:
    """Return the facts that are valid metadata, together with the existing ones."""
    kept: dict[str, Value] = {}
    for key, value in facts.items():
        try:
            naming.plain_label(key, "key")
            metadata.limit_size({**(among or {}), **kept, key: value}, where)
        except ValueTooLarge:
            report.lost(where, f"{key!r} is left out: all metadata together is over {metadata.MAX_METADATA:,} bytes")
        except RegistryError as error:
            report.lost(where, f"{key!r} is left out: {error}")
        else:
            kept[key] = value
    return kept


def share_stages(model: str, stages: dict[int, Stage], changed: Mapping[int, int], report: Report) -> None:
    """Keep in each exclusive stage the version that changed last, and archive the others."""
    for stage in (Stage.STAGING, Stage.PRODUCTION):
        holders = sorted((changed[number], number) for number, held in stages.items() if held is stage)
        for _, number in holders[:-1]:
            stages[number] = Stage.ARCHIVED
            report.lost(
                f"version {model}/{number}",
                f"was in {stage} together with version {holders[-1][1]}; only one can be, so it is archived",
            )

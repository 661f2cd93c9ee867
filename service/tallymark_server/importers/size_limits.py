"""Cut versions and runs to the size that they may have here. What is left out, from the end, is reported."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tallymark_server.domain.capacity import (
    MAX_ALIASES,
    MAX_ALIASES_OF_MODEL,
    MAX_LINKS,
    MAX_LINKS_OF_VERSION,
    MAX_RUN,
    MAX_VERSION,
    size_of,
)
from tallymark_server.domain.metadata import json_size
from tallymark_server.importers.source_model import FoundArtifact, FoundRun, FoundVersion, Report

_SHORT = 1000


def fit_version(version: FoundVersion, where: str, aliases: int, report: Report) -> FoundVersion:
    """Return the version, cut to its bounds. Its model has that many aliases already."""
    room = max(0, min(MAX_ALIASES, MAX_ALIASES_OF_MODEL - aliases))
    if lost := version.aliases[room:]:
        report.lost(
            where, f"{len(lost):,} of its aliases are left out, beginning with {lost[0]!r}: {_MAX_ALIASES_RULE}"
        )
    fitting = replace(version, aliases=version.aliases[:room], artifacts=_fit_links(version.artifacts, where, report))
    return _fit_size(fitting, where, report)


def fit_run(run: FoundRun, report: Report) -> FoundRun:
    """Return the run, cut to its bounds."""
    texts = {name: getattr(run, name) for name in ("pipeline", "host", "user", "commit")}
    if size_of(texts.values()) + json_size(run.parameters) <= MAX_RUN:
        return run
    report.lost(f"run {run.id}", f"has more than {MAX_RUN:,} bytes: its texts are cut after {_SHORT:,} characters")
    return replace(run, **{name: text[:_SHORT] for name, text in texts.items()})


_MAX_ALIASES_RULE = f"a version has at most {MAX_ALIASES:,}, and a model {MAX_ALIASES_OF_MODEL:,}"


def _fit_links(artifacts: list[FoundArtifact], where: str, report: Report) -> list[FoundArtifact]:
    kept: list[FoundArtifact] = []
    counts: Counter[str] = Counter()
    for artifact in artifacts:
        if len(kept) < MAX_LINKS_OF_VERSION and counts[artifact.name] < MAX_LINKS:
            kept.append(artifact)
            counts[artifact.name] += 1
    if lost := len(artifacts) - len(kept):
        most = f"{MAX_LINKS:,} under one name, and {MAX_LINKS_OF_VERSION:,} in all"
        report.lost(where, f"{lost:,} of its artifacts are left out: a version has at most {most}")
    return kept


def _fit_size(version: FoundVersion, where: str, report: Report) -> FoundVersion:
    facts = json_size(version.metadata) if version.metadata else 0
    if size_of((version.description, *version.tags, *version.aliases)) + facts <= MAX_VERSION:
        return version
    tags = version.tags
    while tags and size_of((*tags, *version.aliases)) + facts > MAX_VERSION:
        tags = tags[:-1]
    room = max(0, MAX_VERSION - size_of((*tags, *version.aliases)) - facts)
    description = version.description.encode()[:room].decode(errors="ignore")
    report.lost(where, f"has more than {MAX_VERSION:,} bytes: its description is cut, or labels are left out")
    return replace(version, description=description, tags=tags)

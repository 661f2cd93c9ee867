"""What another registry has more of than one holds here is left out and reported, so that the rest is imported."""

from __future__ import annotations

from typing import Any

from tallymark_server.domain.capacity import MAX_RUN, MAX_VERSION, size_of
from tallymark_server.domain.model import ArtifactType, RunState
from tallymark_server.importers.sanitize import fit_facts, fit_text
from tallymark_server.importers.source_model import FoundArtifact, FoundRun, FoundVersion, Report
from tallymark_server.importers.size_limits import fit_run, fit_version

ALIASES = tuple(f"a{number:03}" for number in range(150))


def found(**fields: Any) -> FoundVersion:
    return FoundVersion(number=1, creator="ana", create_time=1, update_time=1, **fields)


def test_aliases_beyond_the_bounds_are_left_out_and_reported() -> None:
    """A version keeps its first hundred, and no more than its model has room for."""
    report = Report()
    assert fit_version(found(aliases=ALIASES), "version churn/1", 0, report).aliases == ALIASES[:100]
    (loss,) = report.losses
    assert loss.startswith("version churn/1: 50 of its aliases are left out, beginning with 'a100'")
    assert fit_version(found(aliases=ALIASES), "version churn/2", 990, report).aliases == ALIASES[:10]
    assert len(report.losses) == 2


def test_links_beyond_the_bounds_are_left_out_and_reported() -> None:
    """A name keeps its first thousand links, and what has another name is kept beside them."""
    links = [FoundArtifact(name="data", type=ArtifactType.DATA, uri=f"s3://{n}", time=1) for n in range(1002)]
    other = FoundArtifact(name="plot", type=ArtifactType.DATA, uri="s3://plot", time=1)
    report = Report()
    kept = fit_version(found(artifacts=[*links, other]), "version churn/1", 0, report).artifacts
    assert kept == [*links[:1000], other]
    assert "2 of its artifacts are left out" in report.losses[0]


def test_a_version_that_is_too_large_is_cut_and_reported() -> None:
    """Its facts stay, its description is cut where the version is full; what fits stays as it is."""
    report = Report()
    small = found(description="x" * 60_000, metadata={"a": "x" * 60_000})
    assert fit_version(small, "version churn/1", 0, report) == small
    assert report.losses == []
    large = found(
        description="é" * 32_000, tags=tuple(f"{n:02}" + "x" * 200 for n in range(100)), metadata=small.metadata
    )
    kept = fit_version(large, "version churn/2", 0, report)
    assert (kept.tags, kept.metadata) == (large.tags, large.metadata)
    assert large.description.startswith(kept.description)
    assert MAX_VERSION - 100 < size_of((kept.description, *kept.tags)) + 60_008 <= MAX_VERSION
    assert len(report.losses) == 1


def test_a_run_that_is_too_large_is_cut_and_reported() -> None:
    """Its texts are cut, and its parameters stay."""
    long = "x" * 65_000
    run = FoundRun(
        id="r", pipeline=long, state=RunState.SUCCEEDED, host=long, user=long, commit=long,
        parameters={"a": long}, creator="ana", start=1,
    )  # fmt: skip
    report = Report()
    kept = fit_run(run, report)
    assert (kept.pipeline, kept.parameters) == ("x" * 1000, run.parameters)
    assert f"{MAX_RUN:,}" in report.losses[0]


def test_a_text_is_imported_without_null() -> None:
    """U+0000, which no text here has, is left out and reported; metadata with it is left out as a whole."""
    report = Report()
    assert fit_text("go\0od", report, "version churn/1: its description") == "good"
    assert fit_facts({"note": "a\0", "auc": 0.9}, report, "version churn/1") == {"auc": 0.9}
    assert "U+0000" in report.losses[0]
    assert "'note' is left out" in report.losses[1]

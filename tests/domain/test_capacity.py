"""How much one thing holds: aliases, links and bytes are bounded, and what was larger before stays as it is."""

from __future__ import annotations

import pytest
from domain.fixtures import given
from domain.events import (
    Happened,
    alias_deleted,
    alias_set,
    artifact_linked,
    metadata_logged,
    model_created,
    model_updated,
    run_started,
    stage_changed,
    version_created,
    version_updated,
)
from domain.commands import (
    config,
    create_model,
    delete_alias,
    ensure,
    link,
    log_metadata,
    report_problems,
    set_alias,
    set_stage,
    start_run,
    update_model,
    update_version,
)
from msgspec.structs import replace

from tallymark_server.domain import capacity
from tallymark_server.domain.errors import LimitReached, ValueTooLarge
from tallymark_server.domain.model import ModelCard, RecordingProblem, Stage

LONG = "x" * 65_535


def aliases(number: int, prefix: str, count: int = capacity.MAX_ALIASES) -> list[Happened]:
    return [alias_set(number, f"{prefix}{each:03}") for each in range(count)]


def test_a_version_has_a_hundred_aliases() -> None:
    """One more is refused with the limit and what makes room; one that it has already is no more."""
    full = given(model_created(), version_created(1), *aliases(1, "a"))
    full.when(set_alias(1, "b")).refused(LimitReached, field="alias", limit="100")
    full.when(set_alias(1, "a000")).then()
    full.when(delete_alias("a000")).then(alias_deleted(1, "a000"))


def test_a_model_has_a_thousand_aliases() -> None:
    """Over all versions together; an alias that moves from one version to another is no more than before."""
    versions = range(1, 12)
    moved = [each for number in versions[:-1] for each in aliases(number, f"v{number}-")]
    full = given(model_created(), *(version_created(number) for number in versions), *moved)
    full.when(set_alias(11, "b")).refused(LimitReached, field="alias", limit="1000")
    full.when(set_alias(11, "v1-000")).then(alias_deleted(1, "v1-000"), alias_set(11, "v1-000", previous=1))


def test_links_to_one_version_are_bounded() -> None:
    """A version takes ten thousand links over all names."""
    given(model_created(), version_created(1)).when(link(1, "data", "s3://a")).then(
        artifact_linked(1, "data", 1, "s3://a")
    )
    version = given(model_created(), version_created(1)).history.version("churn", 1)
    assert version is not None
    capacity.check_links(version, "data", of_name=0, of_version=9_999)
    with pytest.raises(LimitReached, match="10,000 is the most"):
        capacity.check_links(version, "data", of_name=0, of_version=10_000)


def test_a_version_is_bounded_as_a_whole() -> None:
    """Description, tags, aliases and metadata together: a new version is refused, and one that would grow too large."""
    tags = tuple(sorted(f"{number:02}" + "é" * 120 for number in range(100)))
    new = config("big", description=LONG, tags=tags, metadata={"a": "x" * 65_000})
    given(model_created()).when(ensure(config=new)).refused(ValueTooLarge, field="model_version", limit="131072")
    large = given(model_created(), version_created(1, description=LONG, tags=tags))
    large.when(log_metadata(1, {"a": "x" * 65_000})).refused(LimitReached, field="model_version")
    large.when(log_metadata(1, {"a": 1.0})).then(metadata_logged(1, {"a": 1.0}))


def test_an_alias_counts_towards_the_version() -> None:
    """A version that is nearly full takes a short alias, and no long one."""
    full = given(model_created(), version_created(1, description=LONG, metadata={"a": "x" * 65_400}))
    full.when(set_alias(1, "x" * 255)).refused(LimitReached, field="model_version")
    full.when(set_alias(1, "x" * 100)).then(alias_set(1, "x" * 100))


def test_what_was_larger_before_may_change_and_not_grow() -> None:
    """A version of an older file keeps what it has: it is promoted and shortened, and takes nothing more."""
    many = tuple(sorted(f"a{number:03}" for number in range(150)))
    old = given(
        model_created(), version_created(1, description="é" * 60_000, metadata={"a": "x" * 60_000}, aliases=many)
    )
    old.when(set_stage(1, Stage.STAGING)).then(stage_changed(1, Stage.NONE, Stage.STAGING))
    old.when(update_version(1, description="short")).then(version_updated(1, description="short"))
    old.when(update_version(1, description="é" * 60_001)).refused(LimitReached, field="model_version")
    old.when(set_alias(1, "b")).refused(LimitReached, field="alias")


def test_a_model_is_bounded_as_a_whole() -> None:
    """All that is written about it together."""
    card = ModelCard(description=LONG, license=LONG, audience=LONG, use_cases=LONG)
    given().when(create_model(card=replace(card, ethics=LONG))).refused(ValueTooLarge, field="model", limit="262144")
    large = given(model_created(**card_fields(card)))
    large.when(update_model(ethics=LONG)).refused(LimitReached, field="model")
    large.when(update_model(license="MIT")).then(model_updated(license="MIT"))


def card_fields(card: ModelCard) -> dict[str, str]:
    return {name: getattr(card, name) for name in ("description", "license", "audience", "use_cases")}


def test_a_run_is_bounded_as_a_whole() -> None:
    """The bound of a run covers all of its texts at its start together."""
    given().when(start_run("r", pipeline=LONG, host=LONG, user=LONG, commit=LONG, url=LONG)).refused(
        ValueTooLarge, field="run", limit="262144"
    )


def test_problems_of_a_run_are_bounded_in_bytes() -> None:
    """Beyond so many bytes of different problems, the rest is counted under one."""
    problems = [RecordingProblem(f"metadata '{number}'", "x" * 1000, 1) for number in range(80)]
    run = given(run_started()).when(report_problems(*problems)).answer
    assert run.recording_problems[-1].subject == "more"
    assert run.recording_problems[-1].count == 80 - (len(run.recording_problems) - 1)
    assert sum(len(each.subject) + len(each.problem) for each in run.recording_problems) < 66_000

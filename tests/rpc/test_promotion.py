"""Stages and aliases over gRPC."""

import grpc
import pytest
from grpc_calls import Calls, refused

from tallymark.v1 import event_pb2, model_pb2
from tallymark.v1.model_pb2 import STAGE_ARCHIVED, STAGE_NONE, STAGE_PRODUCTION, STAGE_STAGING


@pytest.fixture(autouse=True)
def churn(calls: Calls) -> None:
    """Create a model of three versions."""
    calls.create_model("churn")
    for _ in range(3):
        calls.create_version("churn")


@pytest.mark.parametrize(("stage", "word"), [(STAGE_PRODUCTION, "production"), (STAGE_STAGING, "staging")])
def test_an_exclusive_stage_has_one_holder(calls: Calls, stage: model_pb2.Stage.ValueType, word: str) -> None:
    """Entering an occupied stage is refused with the name of its holder; with force, the holder is archived."""
    calls.set_stage("churn", 1, stage)
    with refused("STAGE_OCCUPIED", grpc.StatusCode.FAILED_PRECONDITION) as refusal:
        calls.set_stage("churn", 2, stage)
    assert refusal.metadata == {"project": "default", "model": "churn", "stage": word, "number": "1"}
    calls.set_stage("churn", 2, stage, force=True, reason="better")
    assert calls.version("churn", f"@{word}").number == 2
    assert calls.version("churn", "1").stage == STAGE_ARCHIVED


@pytest.mark.parametrize("stage", [STAGE_ARCHIVED, STAGE_NONE])
def test_other_stages_hold_any_number(calls: Calls, stage: model_pb2.Stage.ValueType) -> None:
    """Any number of versions are archived or without a stage."""
    for number in (1, 2, 3):
        calls.set_stage("churn", number, STAGE_STAGING, force=True)
        assert calls.set_stage("churn", number, stage).stage == stage


def test_a_stage_that_was_left_is_free(calls: Calls) -> None:
    """When the holder leaves, the stage is empty, and the next enters without force."""
    calls.set_stage("churn", 1, STAGE_PRODUCTION)
    calls.set_stage("churn", "@production", STAGE_NONE)
    with refused("STAGE_EMPTY", grpc.StatusCode.NOT_FOUND):
        calls.version("churn", "@production")
    assert calls.set_stage("churn", 2, STAGE_PRODUCTION).stage == STAGE_PRODUCTION


def test_a_swap_records_its_events_in_order(calls: Calls) -> None:
    """In the log the holder leaves before the other enters, each with the stages before and after and the reason."""
    calls.set_stage("churn", 1, STAGE_PRODUCTION)
    seen = calls.events()[-1].revision
    calls.set_stage("churn", 2, STAGE_PRODUCTION, force=True, reason="better")
    told = [
        (event.kind, event.model_version.number, event.previous_stage, event.model_version.stage, event.reason)
        for event in calls.events(after=seen)
    ]
    changed = event_pb2.EVENT_KIND_STAGE_CHANGED
    assert told == [
        (changed, 1, STAGE_PRODUCTION, STAGE_ARCHIVED, "better"),
        (changed, 2, STAGE_NONE, STAGE_PRODUCTION, "better"),
    ]


def test_a_stale_etag_is_refused(calls: Calls) -> None:
    """Promoting with the etag of an earlier read is refused when the version was changed since."""
    read = calls.version("churn", "1")
    changed = calls.set_alias("churn", 1, "champion")
    with refused("ETAG_MISMATCH", grpc.StatusCode.ABORTED) as refusal:
        calls.set_stage("churn", 1, STAGE_PRODUCTION, etag=read.etag)
    assert refusal.metadata["etag"] == changed.etag
    assert calls.set_stage("churn", 1, STAGE_PRODUCTION, etag=changed.etag).stage == STAGE_PRODUCTION


def test_entering_the_same_stage_again_is_no_event(calls: Calls) -> None:
    """Moving a version to the stage that it has returns it, and writes no event."""
    first = calls.set_stage("churn", 1, STAGE_PRODUCTION)
    assert calls.set_stage("churn", 1, STAGE_PRODUCTION) == first


def test_a_dry_run_of_a_promotion_changes_nothing(calls: Calls) -> None:
    """validate_only returns the version as it would be, and refuses what would be refused."""
    assert calls.set_stage("churn", 1, STAGE_PRODUCTION, validate_only=True).stage == STAGE_PRODUCTION
    assert calls.version("churn", "1").stage == STAGE_NONE
    calls.set_stage("churn", 2, STAGE_PRODUCTION)
    with refused("STAGE_OCCUPIED", grpc.StatusCode.FAILED_PRECONDITION):
        calls.set_stage("churn", 1, STAGE_PRODUCTION, validate_only=True)


def test_a_version_replaces_only_the_holder_that_is_expected(calls: Calls) -> None:
    """expected_number compares and sets: 0 for an empty stage; a refusal names the holder and archives nothing."""
    with refused("STAGE_MOVED", grpc.StatusCode.ABORTED) as refusal:
        calls.set_stage("churn", 1, STAGE_PRODUCTION, expected_number=3)
    assert refusal.metadata == {"project": "default", "model": "churn", "stage": "production", "number": "0"}
    calls.set_stage("churn", 1, STAGE_PRODUCTION, expected_number=0)
    for expected in (0, 3):
        with refused("STAGE_MOVED", grpc.StatusCode.ABORTED) as refusal:
            calls.set_stage("churn", 2, STAGE_PRODUCTION, force=True, expected_number=expected)
        assert refusal.metadata["number"] == "1"
    assert calls.version("churn", "@production").number == 1
    with refused("STAGE_OCCUPIED", grpc.StatusCode.FAILED_PRECONDITION):
        calls.set_stage("churn", 2, STAGE_PRODUCTION, expected_number=1)
    calls.set_stage("churn", 2, STAGE_PRODUCTION, force=True, expected_number=1)
    assert calls.version("churn", "1").stage == STAGE_ARCHIVED
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
        calls.set_stage("churn", 2, STAGE_ARCHIVED, expected_number=2)


@pytest.mark.parametrize("stage", [0, 17])
def test_an_unknown_stage_is_refused(calls: Calls, stage: int) -> None:
    """An unspecified stage, and one of a newer contract, are refused."""
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
        calls.set_stage("churn", 1, stage)  # type: ignore[arg-type]  # stages of a newer contract too


def test_an_alias_points_at_one_version_and_moves(calls: Calls) -> None:
    """Setting an alias on a version removes it from the version that had it."""
    assert list(calls.set_alias("churn", 1, "champion").aliases) == ["champion"]
    moved = calls.set_alias("churn", 2, "champion")
    assert list(moved.aliases) == ["champion"]
    assert calls.version("churn", "@champion") == moved
    assert list(calls.version("churn", "1").aliases) == []
    told = [(event.kind, event.model_version.number, event.previous_number) for event in calls.events()[-2:]]
    assert told == [(event_pb2.EVENT_KIND_ALIAS_DELETED, 1, 1), (event_pb2.EVENT_KIND_ALIAS_SET, 2, 1)]


def test_a_version_may_have_several_aliases(calls: Calls) -> None:
    """Aliases of a version are listed in code point order."""
    for alias in ("b", "a"):
        calls.set_alias("churn", 1, alias)
    assert list(calls.version("churn", "@a").aliases) == ["a", "b"]


def test_an_alias_moves_only_from_where_it_is_expected(calls: Calls) -> None:
    """expected_number compares and sets: 0 for an alias that must not exist yet."""
    with refused("ALIAS_MOVED", grpc.StatusCode.ABORTED):
        calls.set_alias("churn", 1, "champion", expected_number=3)
    calls.set_alias("churn", 1, "champion", expected_number=0)
    with refused("ALIAS_MOVED", grpc.StatusCode.ABORTED) as refusal:
        calls.set_alias("churn", 2, "champion", expected_number=0)
    assert refusal.metadata == {"project": "default", "model": "churn", "alias": "champion", "number": "1"}
    calls.set_alias("churn", 2, "champion", expected_number=1)
    with refused("ALIAS_MOVED", grpc.StatusCode.ABORTED):
        calls.delete_alias("churn", "champion", expected_number=1)
    assert calls.delete_alias("churn", "champion", expected_number=2).number == 2


def test_a_deleted_alias_points_nowhere(calls: Calls) -> None:
    """A deleted alias is not found, and not deleted twice."""
    calls.set_alias("churn", 1, "champion")
    assert list(calls.delete_alias("churn", "champion").aliases) == []
    with refused("ALIAS_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.version("churn", "@champion")
    with refused("ALIAS_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.delete_alias("churn", "champion")


@pytest.mark.parametrize("alias", ["production", "Latest", "7"])
def test_an_alias_is_no_stage_word_and_no_number(calls: Calls, alias: str) -> None:
    """An alias cannot be a stage or a number, so `@` is never ambiguous."""
    with refused("RESERVED_NAME", grpc.StatusCode.INVALID_ARGUMENT):
        calls.set_alias("churn", 1, alias)


def test_a_promotion_of_a_missing_version_is_refused(calls: Calls) -> None:
    """A missing version enters no stage and gets no alias."""
    with refused("VERSION_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.set_stage("churn", 9, STAGE_PRODUCTION)
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.set_alias("other", 1, "champion")

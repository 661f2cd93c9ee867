"""What is recorded of a version: its metadata, and the points of its metrics."""

from __future__ import annotations

import math
from typing import Any

import pytest
from domain.fixtures import Given, given
from domain.events import (
    Happened,
    metadata_logged,
    metrics_logged,
    model_created,
    model_deleted,
    version_created,
    version_deleted,
    version_updated,
)
from domain.commands import log_metadata, update_model, update_version

from tallymark_server.domain.errors import (
    AliasNotFound,
    InvalidField,
    ModelDeleted,
    ModelNotFound,
    ValueTooLarge,
    VersionDeleted,
    VersionNotFound,
)
from tallymark_server.domain.metadata import MAX_METADATA, checked, whole
from tallymark_server.domain.model import Point, Time, Uri, Value

VERSION = (model_created(), version_created(1, metadata={"auc": 0.9, "note": "good"}))
VALUES: list[Value] = [
    1.0, 2**53 + 1, True, False, "1", None, "", 0.0, Time(5), Uri("5"), (1.0, "a"), (), {"a": 1.0}, {}, math.inf,
]  # fmt: skip


def metadata_of(project: Given) -> dict[str, Value]:
    """Return the metadata of the first version of the model."""
    version = project.history.version("churn", 1)
    assert version is not None
    return version.metadata


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_kept_with_its_type(value: Value) -> None:
    """Whatever is logged is kept as it is, and logging the same again makes no event."""
    project = given(model_created(), version_created(1))
    project = project.when(log_metadata(1, {"x": value})).then(metadata_logged(1, {"x": value}))
    assert repr(metadata_of(project)) == repr({"x": value})
    project.when(log_metadata(1, {"x": value})).then()


ALIKE: list[tuple[Value, Value]] = [
    (1.0, True), (True, 1.0), (0.0, False), (0.0, -0.0), ((True,), (1.0,)), ({"a": 0.0}, {"a": False}), ({}, ()),
    ("1", 1.0), (None, False), (Time(5), 5.0), (Uri("a"), "a"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), ALIKE, ids=repr)
def test_a_value_of_another_type_is_another_value(before: Value, after: Value) -> None:
    """True is not the number 1, also within lists and maps: what is logged or written is kept, and not passed over."""
    project = given(model_created(metadata={"x": before}), version_created(1, metadata={"x": before}))
    logged = project.when(log_metadata(1, {"x": after})).then(metadata_logged(1, {"x": after}))
    assert repr(metadata_of(logged)) == repr({"x": after})
    updated = project.when(update_version(1, metadata={"x": after})).then(version_updated(1, metadata={"x": after}))
    assert repr(metadata_of(updated)) == repr({"x": after})
    card = project.when(update_model(metadata={"x": after})).answer.card
    assert repr(card.metadata) == repr({"x": after})


def test_what_is_no_number_stays_what_it_is() -> None:
    """A value that is not a number, logged or written again, makes no event, although it equals nothing."""
    project = given(model_created(), version_created(1, metadata={"x": math.nan}))
    project.when(log_metadata(1, {"x": float("nan")})).then()
    project.when(update_version(1, metadata={"x": float("nan")})).then()


def test_metadata_is_set_by_key() -> None:
    """Keys that are given are set over those before, and all others stay."""
    project = given(*VERSION).when(log_metadata(1, {"auc": 0.95, "rows": 10.0}))
    project.then(metadata_logged(1, {"auc": 0.95, "note": "good", "rows": 10.0}))


def test_what_is_so_already_makes_no_event() -> None:
    """The same values, no values, and keys to delete that are not there change nothing."""
    for command in (
        log_metadata(1, {"note": "good", "auc": 0.9}),
        log_metadata(1),
        log_metadata(1, delete_keys=frozenset({"rows"})),
    ):
        given(*VERSION).when(command).then()


def test_keys_are_deleted() -> None:
    """One command deletes some keys and sets others."""
    project = given(*VERSION)
    project.when(log_metadata(1, {"rows": 1.0}, delete_keys=frozenset({"note", "other"}))).then(
        metadata_logged(1, {"auc": 0.9, "rows": 1.0})
    )


def test_metadata_has_a_size() -> None:
    """Metadata that all together would be too large is refused, however small what is added is."""
    large = "x" * (MAX_METADATA - 20)
    project = given(model_created(), version_created(1, metadata={"a": large}))
    project.when(log_metadata(1, {"b": "y" * 20})).refused(ValueTooLarge, field="metadata", limit=MAX_METADATA)
    project.when(log_metadata(1, {"b": "y" * 20}, delete_keys=frozenset({"a"}))).then(
        metadata_logged(1, {"b": "y" * 20})
    )


# Points of metrics.


def test_the_highest_step_is_the_value() -> None:
    """Points are kept in the order of their steps, and the metadata has the value of the highest one."""
    points = (Point("auc", 2, 0.7, 5), Point("auc", 1, 0.8, 6))
    given(*VERSION).when(log_metadata(1, {}, *points)).then(
        metrics_logged(1, *reversed(points)), metadata_logged(1, {"auc": 0.7, "note": "good"}, {"auc": 2})
    )


SERIES = (*VERSION, metrics_logged(1, Point("auc", 5, 0.7, 1)), metadata_logged(1, {"auc": 0.7}, {"auc": 5}))


@pytest.mark.parametrize(("step", "value"), [(4, 0.7), (5, 0.8), (6, 0.8)])
def test_a_late_point_changes_no_value(step: int, value: float) -> None:
    """A point below the highest step is kept beside the others; one at it, or above, is the value from then on."""
    point = Point("auc", step, 0.8, 0)
    given(*SERIES).when(log_metadata(1, {}, point)).then(
        metrics_logged(1, point), metadata_logged(1, {"auc": value}, {"auc": max(step, 5)})
    )


def test_the_last_point_of_a_step_counts() -> None:
    """Of several points of one step in a request only the last one is kept, also if they come out of order."""
    points = (Point("auc", 1, 0.1, 0), Point("auc", 2, 0.2, 0), Point("auc", 1, 0.3, 0), Point("auc", 2, 0.4, 0))
    given(*VERSION).when(log_metadata(1, {}, *points)).then(
        metrics_logged(1, points[2], points[3]), metadata_logged(1, {"auc": 0.4, "note": "good"}, {"auc": 2})
    )


def test_each_metric_has_its_own_steps() -> None:
    """The points of several metrics are one event, in the order of their names and steps."""
    auc, loss = Point("auc", 3, 0.9, 0), Point("loss", 0, 0.1, 0)
    given(*VERSION).when(log_metadata(1, {"note": "fine"}, loss, auc)).then(
        metrics_logged(1, auc, loss),
        metadata_logged(1, {"auc": 0.9, "note": "fine", "loss": 0.1}, {"auc": 3, "loss": 0}),
    )


def test_a_point_that_is_logged_again_is_an_event() -> None:
    """The same point again is measured again, so that nobody takes it for lost."""
    point = Point("auc", 5, 0.7, 0)
    given(*SERIES).when(log_metadata(1, {}, point)).then(
        metrics_logged(1, point), metadata_logged(1, {"auc": 0.7}, {"auc": 5})
    )


@pytest.mark.parametrize(
    ("command", "metadata"),
    [
        (log_metadata(1, {"auc": 0.5}), {"auc": 0.5}),
        (log_metadata(1, {"auc": 0.7}), {"auc": 0.7}),
        (log_metadata(1, delete_keys=frozenset({"auc", "other"})), {}),
    ],
)
def test_a_series_ends_with_its_key(command: Any, metadata: dict[str, Value]) -> None:
    """A metric that is set without a step, or deleted, has no points any more."""
    given(*SERIES).when(command).then(metrics_logged(1, ended=("auc",)), metadata_logged(1, metadata))


def test_a_series_that_has_ended_begins_anew() -> None:
    """Its steps count from the first again."""
    project = given(*SERIES, metrics_logged(1, ended=("auc",)), metadata_logged(1, {"auc": 0.5}))
    point = Point("auc", 0, 0.6, 0)
    project.when(log_metadata(1, {}, point)).then(
        metrics_logged(1, point), metadata_logged(1, {"auc": 0.6}, {"auc": 0})
    )


def test_series_are_not_written_by_hand() -> None:
    """Metadata that is written over as a whole keeps what its series have come to, and that alone is no change."""
    project = given(*SERIES)
    for metadata in ({"auc": 0.1, "rows": 1.0}, {"rows": 1.0}):
        project.when(update_version(1, metadata=metadata)).then(version_updated(1, metadata={"rows": 1.0, "auc": 0.7}))
    for metadata in ({}, {"auc": 0.1}, {"auc": 0.7}):
        project.when(update_version(1, metadata=metadata)).then()


@pytest.mark.parametrize(
    ("happened", "version", "error", "data"),
    [
        ((), 1, ModelNotFound, {"model": "churn"}),
        ((*VERSION, model_deleted()), 1, ModelDeleted, {"model": "churn"}),
        (VERSION, 2, VersionNotFound, {"version": "2"}),
        (VERSION, "@champion", AliasNotFound, {"alias": "champion"}),
        ((*VERSION, version_deleted(1)), 1, VersionDeleted, {"number": "1"}),
    ],
)
def test_nothing_is_recorded_of_what_is_not_there(
    happened: tuple[Happened, ...], version: int | str, error: Any, data: dict[str, str]
) -> None:
    """For a version that is missing or deleted neither metadata nor points are kept."""
    given(*happened).when(log_metadata(version, {"a": 1.0}, Point("auc", 1, 0.7, 0))).refused(error, **data)


# What metadata may be.


@pytest.mark.parametrize("number", [0, 5, -(2**53), 2**53, 2**60, -(2**63), 10**400])
def test_equal_numbers_are_kept_in_one_way(number: int) -> None:
    """A whole number that a double keeps exactly is a double, and another stays as it is."""
    kept = whole(number)
    assert kept == number
    assert isinstance(kept, int) is (number == 10**400)
    assert all(type(whole(each)) is int for each in (2**53 + 1, -(2**63) + 1, 2**63 - 1))


@pytest.mark.parametrize("key", ["", " a", "a\n", "x" * 256])
def test_a_key_can_be_shown(key: str) -> None:
    """A metadata key has 1 to 255 characters, none of them invisible."""
    with pytest.raises(InvalidField):
        checked({key: 1.0})


@pytest.mark.parametrize(
    "value", ["a\0b", Uri("s3://a\0b"), ("a", "b\0"), {"a": "b\0"}, {"a\0": "b"}, {"a": ({"b": "\0"},)}], ids=repr
)
def test_a_text_with_null_is_no_metadata(value: Value) -> None:
    """U+0000 is refused wherever in a value it is, since not every engine can store it."""
    with pytest.raises(InvalidField, match=r"U\+0000"):
        checked({"note": value})


def test_a_text_that_spells_null_is_metadata() -> None:
    """A backslash and the digits are six characters like others."""
    assert checked({"note": r"\u0000"}) == {"note": r"\u0000"}

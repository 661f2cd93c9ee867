"""What every event becomes when content is erased: rules, without a log and a file."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tallymark_server.domain.commands import Erasing
from tallymark_server.domain.erasure import Eraser, without_key
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Artifact, Erasure, MetricChange, ModelVersion, Point, Run, RunStep, Stage
from tallymark_server.domain.state import Subject

VERSION = Subject(model_id=1, model="churn", number=1, name="now")
RUN = Subject(run="r1")
TIMES: dict[str, Any] = {"create_time": 1, "create_revision": 1, "mod_revision": 1}


def event(image: Any, kind: Kind = Kind.VERSION_UPDATED, **fields: Any) -> Event:
    return Event(revision=1, kind=kind, time=1, actor="ana", image=image, **fields)


def version(**fields: Any) -> ModelVersion:
    return ModelVersion(
        model_id=1, model="churn", number=1, name="now", creator="ana", update_time=1, **TIMES, **fields
    )


def erased(before: Event, *paths: str, subject: Subject = VERSION, **how: Any) -> tuple[Any, list[int]]:
    """The image afterwards, and how many events each path has changed."""
    eraser = Eraser(subject, Erasing(paths=paths, **how), 9)
    return eraser.rewritten(before).image, eraser.by_path


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("metadata.a", {"a": "[erased]", "b.c": 2.0, "b": {"c": 3.0, "d": (4.0,)}}),
        ("metadata.b.c", {"a": 1.0, "b.c": "[erased]", "b": {"c": "[erased]", "d": (4.0,)}}),
        ("metadata.b.d", {"a": 1.0, "b.c": 2.0, "b": {"c": 3.0, "d": "[erased]"}}),
        ("metadata.b", {"a": 1.0, "b.c": 2.0, "b": "[erased]"}),
        ("metadata", {"a": "[erased]", "b.c": "[erased]", "b": "[erased]"}),
        ("metadata.b.x", None),
        ("metadata.A", None),
    ],
)
def test_a_path_leads_to_every_value_that_it_can_mean(path: str, left: dict[str, Any] | None) -> None:
    """Dots are a key's own, or lead into a map; what a path does not lead to stays, and then nothing is counted."""
    before = event(version(metadata={"a": 1.0, "b.c": 2.0, "b": {"c": 3.0, "d": (4.0,)}}))
    image, by_path = erased(before, path)
    assert image == (before.image if left is None else version(metadata=left))
    assert by_path == [left is not None]


def test_keys_become_names_of_the_erasing_event() -> None:
    """Of each path its own, in maps too, and a path that was followed once leads nowhere afterwards."""
    before = event(version(metadata={"a": 1.0, "b": {"c": 2.0}}))
    eraser = Eraser(VERSION, Erasing(paths=("metadata.a", "metadata.b.c"), keys=True), 9)
    after = eraser.rewritten(before)
    assert after.image == version(metadata={"erased-9-1": "[erased]", "b": {"erased-9-2": "[erased]"}})
    assert eraser.rewritten(after) == after
    assert eraser.by_path == [1, 1]


def test_a_metric_goes_with_its_series() -> None:
    """Its points, its value and its highest step; those of other metrics stay."""
    points = (Point("loss", 1, 0.5, 7), Point("auc", 1, 0.25, 7))
    change = MetricChange(model_id=1, model="churn", number=1, points=points, deleted_keys=("loss",), mod_revision=1)
    image, _ = erased(event(change, Kind.METRICS_LOGGED), "metadata.loss", keys=True)
    assert image == replace(change, points=points[1:], deleted_keys=("erased-9",))
    image, _ = erased(
        event(version(metadata={"loss": 0.5, "auc": 0.25}, series={"loss": 1, "auc": 1})), "metadata.loss"
    )
    assert image == version(metadata={"loss": "[erased]", "auc": 0.25}, series={"auc": 1})


def test_texts_and_names_of_before() -> None:
    """Texts, tags, uris and names that are no longer borne are erased; what is empty stays so."""
    before = event(
        replace(version(description="d", tags=("eu", "x")), name="then"), reason="why", previous_name="earlier"
    )
    eraser = Eraser(VERSION, Erasing(paths=("description", "tags.x", "reasons", "previous_names")), 9)
    after = eraser.rewritten(before)
    expected = replace(version(description="[erased]", tags=("[erased]", "eu")), name="erased:1")
    assert after == replace(before, image=expected, reason="[erased]", previous_name="erased:1")
    assert erased(event(version()), "description", "tags", "reasons", "previous_names")[1] == [0, 0, 0, 0]
    link = Artifact(model_id=1, model="churn", number=1, name="data", ordinal=1, uri="s3://x", creator="ana", **TIMES)
    assert erased(event(link, Kind.ARTIFACT_LINKED), "artifacts.data")[0] == replace(link, uri="erased:9")
    assert erased(event(link, Kind.ARTIFACT_LINKED), "artifacts.other")[0] == link


def test_steps_go_with_their_run() -> None:
    """Parameters and errors of a run and of its steps; reasons of another thing's events are not touched."""
    run = Run(id="r1", pipeline="p", parameters={"k": "s"}, error="e", creator="ana", **TIMES)
    step = RunStep(run="r1", id="s", name="fit", parameters={"k": "s"}, **TIMES)
    assert erased(event(run), "parameters.k", "error", subject=RUN)[0] == replace(
        run, parameters={"k": "[erased]"}, error="[erased]"
    )
    assert erased(event(step), "parameters", subject=RUN)[0] == replace(step, parameters={"k": "[erased]"})
    assert erased(event(version(), reason="why"), "reasons", subject=RUN)[1] == [0]
    said = Erasure(run="r1", paths=("error",), mod_revision=1)
    assert erased(event(said, Kind.ERASED, reason="leak"), "reasons", subject=RUN)[1] == [1]


def test_an_actor_is_erased_wherever_it_stands() -> None:
    """An actor is erased as the actor of events and as creator, even by the actor itself; other actors stay."""
    eraser = Eraser(Subject(), Erasing(paths=("actors.ana",)), 9)
    assert eraser.rewritten(event(version())) == replace(
        event(replace(version(), creator="erased-9")), actor="erased-9"
    )
    assert (eraser.actor("ana"), eraser.actor("bob")) == ("erased-9", "bob")


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2).map(tuple) | st.dictionaries(st.text("ab.", max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(st.text("ab.", min_size=1, max_size=3), values, max_size=4), st.text("ab.", min_size=1, max_size=4)
)
def test_nothing_else_is_touched(metadata: dict[str, Any], key: str) -> None:
    """Whatever the path, what identifies a version stays, and erasing again changes nothing."""
    before = event(version(metadata=metadata, stage=Stage.STAGING))
    eraser = Eraser(VERSION, Erasing(paths=(f"metadata.{key}",)), 9)
    after = eraser.rewritten(before)
    assert isinstance(after.image, ModelVersion)
    assert replace(after, image=before.image) == before
    assert after.image.metadata.keys() == metadata.keys()
    again = Eraser(VERSION, Erasing(paths=(f"metadata.{key}",)), 10)
    assert again.rewritten(after) == after


@pytest.mark.parametrize(
    ("path", "told"), [("metadata.a.b", "metadata.*"), ("description", "description"), ("actors.ana", "actors.*")]
)
def test_an_event_never_says_which_key(path: str, told: str) -> None:
    """The key may be the secret."""
    assert without_key(path) == told

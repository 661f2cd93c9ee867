"""The checker of consistency finds what cannot have been, and nothing else, in a small history with wrong answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from consistency.checker import Checker
from consistency.history import Operation, Refusal
from consistency.expected import PROJECT, Log
from tallymark.v1 import model_pb2, model_registry_pb2, run_registry_pb2
from tallymark.v1.model_pb2 import STAGE_ARCHIVED, STAGE_PRODUCTION

m = model_registry_pb2
MODEL = f"{PROJECT}/models/churn"
FIRST = f"{MODEL}/versions/1"
MISSING = Refusal("STAGE_EMPTY", (("model", "churn"), ("project", "default"), ("stage", "production")))


def event(revision: int, kind: str, of: int, /, **image: Any) -> bytes:
    """A line of an export."""
    made = {"create_revision": revision, "mod_revision": revision, "creator": "ana", "create_time": 1, **image}
    told = {"revision": revision, "kind": kind, "model": 1, "number": of, "reason": "", "alias": "", "image": made}
    return json.dumps(told).encode()


def receipt(request_id: str, first: int, last: int) -> bytes:
    return json.dumps({"request_id": request_id, "first_revision": first, "last_revision": last}).encode()


def of_version(revision: int, number: int, create_revision: int, **image: Any) -> dict[str, Any]:
    return {"model_id": 1, "number": number, "create_revision": create_revision, "mod_revision": revision, **image}


# A model, a version, its way into production and out of it, and a second version.
LINES = [
    event(1, "model_created", 0, id=1, name="churn"),
    receipt("a", 1, 1),
    event(2, "version_created", 1, **of_version(2, 1, 2)),
    receipt("b", 2, 2),
    event(3, "stage_changed", 1, **of_version(3, 1, 2, stage="production")),
    receipt("c", 3, 3),
    event(4, "stage_changed", 1, **of_version(4, 1, 2, stage="archived")),
    receipt("d", 4, 4),
    event(5, "version_created", 2, **of_version(5, 2, 5)),
    receipt("e", 5, 5),
]


def version(revision: int, stage: int, number: int = 1) -> model_pb2.ModelVersion:
    return model_pb2.ModelVersion(
        name=f"{MODEL}/versions/{number}",
        number=number,
        version_name=str(number),
        stage=model_pb2.Stage.ValueType(stage),
        mod_revision=revision,
        etag=f"r{revision}",
    )


def get(begin: float, end: float, answer: Any, reference: str = "1") -> Operation:
    request = m.GetModelVersionRequest(name=f"{MODEL}/versions/{reference}")
    return Operation("GetModelVersion", request, begin, [(end, answer)])


def writes() -> list[Operation]:
    """The requests of the log, one after the other: each begins at ten times its revision, and takes five seconds."""
    model = model_pb2.Model(name=MODEL, mod_revision=1)
    archive = m.SetStageRequest(name=FIRST, stage=STAGE_ARCHIVED, request_id="d")
    return [
        Operation("CreateModel", m.CreateModelRequest(model_id="churn", request_id="a"), 10, [(15, model)]),
        Operation("CreateModelVersion", m.CreateModelVersionRequest(request_id="b"), 20, [(25, version(2, 1))]),
        Operation(
            "SetStage", m.SetStageRequest(name=FIRST, stage=STAGE_PRODUCTION, request_id="c"), 30, [(35, version(3, 3))]
        ),
        Operation("SetStage", archive, 40, [(45, version(4, 4))]),
        Operation("CreateModelVersion", m.CreateModelVersionRequest(request_id="e"), 50, [(55, version(5, 1, 2))]),
    ]


def problems(*operations: Operation, lines: list[bytes] = LINES, asked: list[Operation] | None = None) -> list[str]:
    return list(Checker(Log(lines), [*(writes() if asked is None else asked), *operations]).problems())


@pytest.mark.parametrize(
    "operation",
    [
        get(36, 39, version(3, 3)),
        get(32, 44, version(2, 1)),
        get(32, 44, version(3, 3)),
        get(36, 39, version(3, 3), "@production"),
        get(46, 49, MISSING, "@production"),
        get(32, 34, MISSING, "@production"),
    ],
)
def test_what_can_have_been_is_no_problem(operation: Operation) -> None:
    """An answer may be of any moment between call and reply, before or after what was under way at once."""
    assert problems(operation) == []


@pytest.mark.parametrize(
    "operation",
    [
        get(36, 39, version(2, 1)),  # stale: everybody knew that it is in production
        get(36, 39, version(4, 4)),  # what nobody has requested yet
        get(36, 39, MISSING, "@production"),  # of no moment
        get(36, 39, Refusal("INVALID_FIELD")),  # nothing was wrong with it
        get(36, 39, version(3, 4)),  # of two moments
        get(46, 49, version(3, 3), "@production"),  # it has left
        Operation("ListModelVersions", m.ListModelVersionsRequest(parent=MODEL), 56, [
            (59, m.ListModelVersionsResponse(model_versions=[version(4, 4)], revision=4))
        ]),
        Operation("ListModelVersions", m.ListModelVersionsRequest(parent=MODEL), 56, [
            (59, m.ListModelVersionsResponse(model_versions=[version(4, 4)], revision=5))
        ]),
        Operation("GetRun", run_registry_pb2.GetRunRequest(name=f"{PROJECT}/runs/r"), 56, [
            (59, Refusal("RUN_FINISHED", (("run", "r"), ("state", "failed"))))
        ]),
    ],
)  # fmt: skip
def test_an_answer_that_was_so_at_no_moment_is_found(operation: Operation) -> None:
    """Stale reads, reads of two moments, reads of what is yet to come, and errors that cannot be."""
    assert any(problem.startswith(operation.method) for problem in problems(operation))


def test_a_doubled_effect_is_found() -> None:
    """An event that belongs to no request is found, and so is an effect that nobody requested."""
    again = event(6, "version_created", 3, **of_version(6, 3, 6))
    assert any("effect of no request" in problem for problem in problems(lines=[*LINES, again]))
    assert any("was never sent" in problem for problem in problems(lines=[*LINES, again, receipt("x", 6, 6)]))


def test_an_answer_that_changes_is_found() -> None:
    """A copy or a repetition that is answered otherwise than the first, also when the first was refused."""
    for answer in (version(4, 4), MISSING):
        asked = writes()
        asked[2].answers.append((60, answer))
        assert any("it got different answers" in problem for problem in problems(asked=asked))


def test_a_refused_request_that_was_done_is_found() -> None:
    """A change that was refused and done all the same is a contradiction."""
    asked = writes()
    asked[4].answers = [(55, Refusal("MODEL_NOT_FOUND", (("model", "churn"),)))]
    assert any("refused, but has an effect" in problem for problem in problems(asked=asked))


def test_effects_against_the_order_of_time_are_found() -> None:
    """What began after another was answered comes after it in the log."""
    asked = writes()
    asked[4].begin, asked[4].answers = 1, [(5, asked[4].answers[0][1])]
    assert problems(asked=asked) != []

"""Programs that recurse up to Python's limit get the error that is theirs, and what they record is whole."""

import sys

import pytest

from tallymark import Client, Model, log_metadata, pipeline, step
from tallymark.runtime.headroom import HeadRoom


@step
def descend(depth: int, facts: object = None) -> None:
    """Call itself without end."""
    descend(depth + 1, {"below": [depth]})


@step
def descend_and_log(depth: int) -> None:
    """Call itself without end, and record how deep it is."""
    log_metadata({"depth": [depth]})
    descend_and_log(depth + 1)


def plain(depth: int) -> None:
    """Call itself without end, and record how deep it is."""
    try:
        plain(depth + 1)
    finally:
        log_metadata({f"at-{depth % 5}": {"depth": [depth]}})


@pytest.mark.usefixtures("registry_env")
@pytest.mark.parametrize("offset", range(0, 40, 7))
def test_endless_recursion_raises_what_it_raises_without_recording(offset: int) -> None:
    """A RecursionError arrives wherever the limit is met, each step that started has failed, nothing is left out."""

    @pipeline(model=Model("deep"))
    def train(levels: int) -> None:
        if levels:
            train(levels - 1)
        (descend, descend_and_log, plain)[offset % 3](0)

    limit = sys.getrecursionlimit()
    with pytest.raises(RecursionError):
        train(offset)
    assert sys.getrecursionlimit() == limit
    with Client() as client:
        (run,) = client.list_runs()
        assert {each.state.value for each in client.list_steps(run.id)} <= {"failed"}
    assert "RecursionError: maximum recursion depth exceeded" in run.error
    assert [each.problem for each in run.recording_problems] == []


def test_room_is_given_only_to_deep_stacks_and_taken_back() -> None:
    """An everyday stack leaves the limit as it is, and a deep one has more room, also where it is asked for twice."""
    limit = sys.getrecursionlimit()

    def limits(depth: int) -> list[int]:
        if depth:
            return limits(depth - 1)
        with HeadRoom():
            first = sys.getrecursionlimit()
            with HeadRoom():
                second = sys.getrecursionlimit()
            return [first, second, sys.getrecursionlimit()]

    assert limits(0) == [limit] * 3
    assert len(set(limits(limit // 2))) == 1
    assert limits(limit // 2)[0] > limit
    assert sys.getrecursionlimit() == limit

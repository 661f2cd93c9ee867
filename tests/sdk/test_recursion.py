"""Programs that recurse up to Python's limit get their RecursionError, and their records are complete."""

import sys

import pytest

from tallymark import Client, Model, log_metadata, pipeline, step
from tallymark.runtime.headroom import HeadRoom


@step
def descend(depth: int, facts: object = None) -> None:
    """Recurse without end."""
    descend(depth + 1, {"below": [depth]})


@step
def descend_and_log(depth: int) -> None:
    """Recurse without end, and log the depth."""
    log_metadata({"depth": [depth]})
    descend_and_log(depth + 1)


def plain(depth: int) -> None:
    """Recurse without end, and log the depth, without steps."""
    try:
        plain(depth + 1)
    finally:
        log_metadata({f"at-{depth % 5}": {"depth": [depth]}})


@pytest.mark.usefixtures("registry_env")
@pytest.mark.parametrize("offset", range(0, 40, 7))
def test_endless_recursion_raises_recursion_error(offset: int) -> None:
    """The error is raised wherever the limit is reached, each started step has failed, and no record is missing."""

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


def test_the_recursion_limit_is_raised_only_for_deep_stacks() -> None:
    """It is unchanged for usual stacks, and restored after deep ones, also when nested."""
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

"""The watch over the event loop itself: it finds what blocks, and only what is listed may."""

from pathlib import Path

import pytest
from blockbuster import BlockingError
from event_loop import BLOCKING

from tallymark_server.storage.sqlite.file_lock import check_one_name

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.usefixtures("unblocked_event_loop")


async def test_a_call_that_blocks_the_event_loop_fails_the_test(tmp_path: Path) -> None:
    """Code of the server that reads a file in a coroutine raises, and the test fails."""
    with pytest.raises(BlockingError):
        check_one_name(tmp_path)


def test_what_blocks_outside_of_an_event_loop_is_left_alone(tmp_path: Path) -> None:
    """The same code runs where no event loop waits for it."""
    file = tmp_path / "tallymark.db"
    file.touch()
    check_one_name(file)


@pytest.mark.parametrize(("path", "functions", "reason"), BLOCKING)
def test_every_exception_names_a_function_that_exists(path: str, functions: set[str], reason: str) -> None:
    """An exception whose function was renamed or removed must go."""
    text = (ROOT / "service" / path).read_text()
    assert {name for name in functions if f"def {name}(" not in text} == set()
    assert reason

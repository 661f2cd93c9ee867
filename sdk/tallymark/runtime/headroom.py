"""Room to record in, for programs that recurse up to Python's limit.

Recording that runs out of frames half-way would lose records, and raise errors of its own in place of the program's.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

# More frames than recording takes, whatever is recorded.
_ROOM = 500
# As many frames as it takes to get here from the end of a step.
_FOR_THE_END = 40
_lock = threading.Lock()
_in_use = 0


class HeadRoom:
    """While it is open, the recursion limit is higher, if the stack is so deep that the limit may be near."""

    def __init__(self) -> None:
        self._is_given = False

    def __enter__(self) -> None:
        global _in_use  # noqa: PLW0603 - the limit is one for all threads
        if not is_deep():
            return
        with _lock:
            if _in_use == 0:
                sys.setrecursionlimit(sys.getrecursionlimit() + _ROOM)
            _in_use += 1
        self._is_given = True

    def __exit__(self, *_: object) -> None:
        global _in_use  # noqa: PLW0603 - as above
        if not self._is_given:
            return
        with _lock:
            _in_use -= 1
            if _in_use == 0:
                with suppress(RecursionError):
                    sys.setrecursionlimit(sys.getrecursionlimit() - _ROOM)


def is_deep() -> bool:
    """Return whether the recursion limit may be near: calls from C count, too, and are no frames."""
    try:
        sys._getframe(sys.getrecursionlimit() // 4)  # noqa: SLF001 - no public function is as quick
    except ValueError:
        return False
    return True


def check_room() -> None:
    """Raise RecursionError if what begins now could not be recorded as ended: the program is about to get it anyway."""
    if is_deep():
        _descend(_FOR_THE_END)


def _descend(frames: int) -> None:
    if frames:
        _descend(frames - 1)


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

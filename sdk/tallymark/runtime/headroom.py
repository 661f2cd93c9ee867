"""A higher recursion limit while something is recorded, for programs that recurse up to Python's limit.

Recording that hits the limit half-way would lose records, and raise errors of its own in place of the program's.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

# More frames than recording needs, whatever is recorded.
_EXTRA_FRAMES = 500
# The number of frames between the end of a step and this module.
_FRAMES_TO_END_A_STEP = 40
_lock = threading.Lock()
_open_count = 0


class HeadRoom:
    """A context manager that raises the recursion limit, if the stack is so deep that the limit may be near."""

    def __init__(self) -> None:
        self._is_counted = False

    def __enter__(self) -> None:
        global _open_count  # noqa: PLW0603 - the limit is one for all threads
        if not is_deep():
            return
        with _lock:
            if _open_count == 0:
                sys.setrecursionlimit(sys.getrecursionlimit() + _EXTRA_FRAMES)
            _open_count += 1
        self._is_counted = True

    def __exit__(self, *_: object) -> None:
        global _open_count  # noqa: PLW0603 - as above
        if not self._is_counted:
            return
        with _lock:
            _open_count -= 1
            if _open_count == 0:
                with suppress(RecursionError):
                    sys.setrecursionlimit(sys.getrecursionlimit() - _EXTRA_FRAMES)


def is_deep() -> bool:
    """Return whether the recursion limit may be near. A quarter of it decides, since calls from C have no frames."""
    try:
        sys._getframe(sys.getrecursionlimit() // 4)  # noqa: SLF001 - no public function is as quick
    except ValueError:
        return False
    return True


def check_headroom() -> None:
    """Raise RecursionError if the end of a step that begins now could not be recorded, since the limit is so near."""
    if is_deep():
        _recurse(_FRAMES_TO_END_A_STEP)


def _recurse(frames: int) -> None:
    if frames:
        _recurse(frames - 1)


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

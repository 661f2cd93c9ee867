"""The time of processors that a process has used, which other load hardly changes."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class ProcessorTime:
    """The seconds of processors that a process has used, and its children, if these are to count."""

    def __init__(self, pid: int, *, with_children: bool = False) -> None:
        self._pid = pid
        self._with_children = with_children
        # What children had used when they were last seen: those that have ended still count.
        self._children: dict[int, float] = {}

    def seconds(self) -> float:
        """Return the seconds of processors so far."""
        if self._with_children:
            children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text().split()
            self._children |= {int(child): _used(int(child)) for child in children}
        return _used(self._pid) + sum(self._children.values())


def _used(pid: int) -> float:
    try:
        # Of all threads, in nanoseconds; the other file has ticks of 10 ms.
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return 0.0

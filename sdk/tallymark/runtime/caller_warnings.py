"""Warnings that point at the line of the user's program which led to them, however deep in here they arise."""

from __future__ import annotations

import sys
import warnings

# Our own frames, and those of context managers between them.
_SKIPPED = {__name__.partition(".")[0], "contextlib"}


def warn(message: str, category: type[Warning] = RuntimeWarning) -> None:
    """Warn, as if the caller of this package had done it; in a thread of our own, as if we had."""
    level, frame = 2, sys._getframe(1)  # noqa: SLF001 - warnings itself counts frames, and skips none before Python 3.12
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _SKIPPED:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)

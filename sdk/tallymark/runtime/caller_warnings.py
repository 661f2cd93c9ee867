"""Warnings that point at the line of the user's program from which this package was called."""

from __future__ import annotations

import sys
import warnings

# Packages whose frames are skipped: this one, and that of the context managers between its frames.
_SKIPPED_PACKAGES = {__name__.partition(".")[0], "contextlib"}


def warn(message: str, category: type[Warning] = RuntimeWarning) -> None:
    """Warn at the line that called this package; in a thread of this package, at the caller of this function."""
    level, frame = 2, sys._getframe(1)  # noqa: SLF001 - warnings itself counts frames, and skips none before Python 3.12
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _SKIPPED_PACKAGES:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)

"""Progress bars, shown only if standard error is a terminal."""

from __future__ import annotations

import sys
from typing import Any

import click


def progress(label: str, length: int | None = None) -> Any:
    """Return a progress bar, which is a context manager."""
    return click.progressbar(length=length or 0, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())


def move(bar: Any, done: int, of: int) -> None:
    """Set the progress of the bar: how much is done, of how much."""
    bar.length = of
    bar.update(done - bar.pos)

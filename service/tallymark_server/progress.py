"""Progress bars on a terminal; programs that read standard error see nothing."""

from __future__ import annotations

import sys
from typing import Any

import click


def progress(label: str, length: int | None = None) -> Any:
    """Return a progress bar, to be used as a context."""
    return click.progressbar(length=length or 0, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())


def move(bar: Any, done: int, of: int) -> None:
    """Show how much is done, and of how much."""
    bar.length = of
    bar.update(done - bar.pos)

"""Errors of the commands on files, as messages of one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def reported_errors(load: Callable[[], tuple[type[Exception], ...]]) -> Iterator[None]:
    """Turn the errors that `load` imports, and errors of files, into messages of one sentence.

    What the block imports may be missing too: `load` imports the errors only now, since help needs no service.
    """
    try:
        expected = load()
    except ImportError as error:
        raise click.ClickException(
            f"this needs {error.name}, which is not installed: pip install 'tallymark[server]'"
        ) from None
    try:
        yield
    except expected as error:
        raise click.ClickException(str(error)) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        # Only a failed open has a name; standard output has none.
        where = f"read {error.filename}" if error.filename else "write"
        raise click.ClickException(f"cannot {where}: {error.strerror}") from None

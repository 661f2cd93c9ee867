"""Replay the commands of an import: decide them by the same rules as every change, with their own times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice

from tallymark_server.domain.commands import Ensured
from tallymark_server.domain.errors import RegistryError
from tallymark_server.importers.timed_commands import TimedCommand
from tallymark_server.storage.contract import Writing
from tallymark_server.storage.immediate import run_immediately
from tallymark_server.writer import Answer, decide_batch

# How many commands are decided together: enough to make loading cheap, few enough to show progress.
MAX_BATCH = 512


class CannotReplayError(Exception):
    """The rules refuse a command of the import. The message says which."""


def replay(writing: Writing, given: Iterable[TimedCommand], on_progress: Callable[[int], None]) -> Counter[str]:
    """Decide the commands. Return how many of each kind there were.

    `on_progress` is called with the size of each batch. Raises CannotReplayError, after which the transaction must be
    rolled back.
    """
    done: Counter[str] = Counter()
    commands = iter(given)
    while batch := list(islice(commands, MAX_BATCH)):
        times = iter([item.time for item in batch])
        answers = run_immediately(decide_batch(writing, [item.command for item in batch], times.__next__))
        for item, answer in zip(batch, answers, strict=True):
            _check(item, answer)
            done[type(item.command).__name__] += 1
        on_progress(len(batch))
    return done


def _check(item: TimedCommand, answer: Answer) -> None:
    if isinstance(answer, RegistryError):
        raise CannotReplayError(f"{type(item.command).__name__} is refused: {answer}; nothing was imported")
    if item.number is None:
        return
    versions = answer if isinstance(answer, tuple) else (answer.version,) if isinstance(answer, Ensured) else ()
    if [version.number for version in versions] != [item.number]:
        raise CannotReplayError(f"number {item.number} was not the next one: {item.command}; nothing was imported")

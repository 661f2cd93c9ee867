"""Has what was found decided: by the rules of every change, with the times of then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice

from tallymark_server.domain.commands import Ensured
from tallymark_server.domain.errors import RegistryError
from tallymark_server.importers.timed_commands import Told
from tallymark_server.storage.contract import Writing
from tallymark_server.storage.immediate import run_immediately
from tallymark_server.writer import Answer, decide_batch

# How many commands are decided together: enough that their loading costs next to nothing, few enough to tell of.
MAX_BATCH = 512


class CannotBringError(Exception):
    """The rules refuse something that was found; the message says what."""


def bring(writing: Writing, told: Iterable[Told], tell: Callable[[int], None]) -> Counter[str]:
    """How many commands of each kind were decided; CannotBringError, after which the transaction must be undone.

    `tell` is called with how many were decided now.
    """
    done: Counter[str] = Counter()
    coming = iter(told)
    while batch := list(islice(coming, MAX_BATCH)):
        times = iter([item.time for item in batch])
        answers = run_immediately(decide_batch(writing, [item.command for item in batch], times.__next__))
        for item, answer in zip(batch, answers, strict=True):
            _check(item, answer)
            done[type(item.command).__name__] += 1
        tell(len(batch))
    return done


def _check(item: Told, answer: Answer) -> None:
    if isinstance(answer, RegistryError):
        raise CannotBringError(f"{type(item.command).__name__} is refused: {answer}; nothing was imported")
    if item.number is None:
        return
    versions = answer if isinstance(answer, tuple) else (answer.version,) if isinstance(answer, Ensured) else ()
    if [version.number for version in versions] != [item.number]:
        raise CannotBringError(f"number {item.number} was not the next one: {item.command}; nothing was imported")

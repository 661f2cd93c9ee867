"""Bounds on the size of a resource: each event stores the whole resource, so many small changes add up.

A resource that was larger before these bounds existed may still change, as long as it does not grow.
"""

from __future__ import annotations

from collections.abc import Iterable

from tallymark_server.domain.errors import LimitReached, ValueTooLarge
from tallymark_server.domain.metadata import MAX_METADATA, json_size
from tallymark_server.domain.model import ModelCard, ModelVersion, Run

MAX_ALIASES, MAX_ALIASES_OF_MODEL = 100, 1000
MAX_LINKS, MAX_LINKS_OF_VERSION = 1000, 10_000
# In bytes of UTF-8: all texts, tags, aliases and metadata of one resource together.
MAX_VERSION, MAX_MODEL, MAX_RUN = 128 * 1024, 256 * 1024, 256 * 1024
# How many different recording problems a run keeps.
MAX_PROBLEMS_SIZE = 65_535


def check_version(version: ModelVersion, before: ModelVersion | None = None) -> ModelVersion:
    """Return the version. Raises LimitReached if a change makes it too large, ValueTooLarge if it is new."""
    if version.description or version.tags or version.aliases:
        size = _size_beside_facts(version)
        # Metadata has a bound of its own, so most versions need not be measured again.
        if size > MAX_VERSION - MAX_METADATA:
            size += json_size(version.metadata)
            if before is None and size > MAX_VERSION:
                raise ValueTooLarge("model_version", MAX_VERSION, "bytes", size)
            if before is not None and size > max(MAX_VERSION, _size_beside_facts(before) + json_size(before.metadata)):
                raise LimitReached(
                    "model_version",
                    MAX_VERSION,
                    f"number {version.number} of model {version.model!r} would have {size:,} bytes of texts, tags,"
                    " aliases and metadata",
                    "shorten its description, or store what is large elsewhere and keep its URI here",
                )
    return version


def check_card(card: ModelCard, before: ModelCard | None = None) -> ModelCard:
    """Return the card. Raises LimitReached if a change makes it too large, ValueTooLarge if it is new."""
    size = _size_of_card(card)
    if size > MAX_MODEL and before is None:
        raise ValueTooLarge("model", MAX_MODEL, "bytes", size)
    if before is not None and size > MAX_MODEL and size > _size_of_card(before):
        raise LimitReached(
            "model",
            MAX_MODEL,
            f"the model would have {size:,} bytes of texts, tags and metadata",
            "shorten its texts, or store what is large elsewhere and keep its URI here",
        )
    return card


def check_run(run: Run) -> Run:
    """Return the new run. Raises ValueTooLarge."""
    size = size_of((run.pipeline, run.host, run.user, run.commit, run.url, run.command)) + json_size(run.parameters)
    if size > MAX_RUN:
        raise ValueTooLarge("run", MAX_RUN, "bytes", size)
    return run


def check_aliases(version: ModelVersion, *, of_model: int) -> None:
    """Raise LimitReached if the version, or its model with that many aliases, can have no further alias."""
    remedy = "delete one that is no longer needed"
    if len(version.aliases) >= MAX_ALIASES:
        what = f"number {version.number} of model {version.model!r} has {len(version.aliases):,} aliases"
        raise LimitReached("alias", MAX_ALIASES, what, remedy)
    if of_model >= MAX_ALIASES_OF_MODEL:
        what = f"model {version.model!r} has {of_model:,} aliases"
        raise LimitReached("alias", MAX_ALIASES_OF_MODEL, what, remedy)


def check_links(version: ModelVersion, name: str, *, of_name: int, of_version: int) -> None:
    """Raise LimitReached if no further artifact can be linked under that name, or to the version at all."""
    remedy = "link one artifact that lists them, such as a folder or a table"
    if of_name >= MAX_LINKS:
        what = f"artifact {name!r} was linked to number {version.number} of model {version.model!r} {of_name:,} times"
        raise LimitReached("artifact_id", MAX_LINKS, what, remedy)
    if of_version >= MAX_LINKS_OF_VERSION:
        what = f"{of_version:,} artifacts were linked to number {version.number} of model {version.model!r}"
        raise LimitReached("artifact_id", MAX_LINKS_OF_VERSION, what, remedy)


def _size_beside_facts(version: ModelVersion) -> int:
    return size_of((version.description, *version.tags, *version.aliases))


def _size_of_card(card: ModelCard) -> int:
    texts = (card.description, card.license, card.audience, card.use_cases, card.limitations, card.trade_offs)
    facts = json_size(card.metadata) if card.metadata else 0
    return size_of((*texts, card.ethics, *card.tags)) + facts


def size_of(texts: Iterable[str]) -> int:
    """Return the size of the texts in bytes of UTF-8."""
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts)

"""Writes commands to a storage, as the writer does, with a clock that is given."""

from __future__ import annotations

from operator import methodcaller
from typing import Any

from tallymark_server.domain import commands as c
from tallymark_server.domain.decisions import AnyCommand
from tallymark_server.domain.query import Kind, Order, Query
from tallymark_server.domain.model import Model, ModelCard, ModelVersion
from tallymark_server.domain.reference import named
from tallymark_server.storage.contract import Storage
from tallymark_server.writer import Answer, decide_batch

# How many commands take milliseconds, not seconds.
MAX_BRIEF = 500
ATTEMPT: dict[str, Any] = {"project": "default", "actor": "ana"}


async def write(storage: Storage, *commands: AnyCommand, now: int = 1_000_000) -> list[Answer]:
    """The answers to one batch of commands."""
    brief = len(commands) <= MAX_BRIEF
    return await storage.write(lambda writing: decide_batch(writing, commands, lambda: now), brief=brief)


def numbers_of(*answers: Answer) -> list[int]:
    """Return the numbers of the versions that were created."""
    numbers: list[int] = []
    for answer in answers:
        assert isinstance(answer, tuple), answer
        numbers += [version.number for version in answer]
    return numbers


async def models_of(storage: Storage, after: str = "", limit: int = 100) -> list[Model]:
    """The models of the default project by name, after that name."""
    order = (Order("name", Kind.TEXT),)
    query = Query(limit=limit, order=order, after=(after,) if after else ())
    return (await storage.models("default", query)).items


async def versions_of(storage: Storage, model: str = "churn") -> list[ModelVersion]:
    """The versions of the model in the default project, the highest number first; none of a model that is missing."""
    found = await storage.model("default", model)
    query = Query(limit=100, order=(Order("number", Kind.NUMBER, descending=True),))
    return [] if found is None else (await storage.read(methodcaller("versions", "default", found, query))).items


def create_model(name: str = "churn", **attempt: Any) -> c.CreateModel:
    return c.CreateModel(**{**ATTEMPT, **attempt}, model=name, card=ModelCard())


def create_versions(*names: str | None, model: str = "churn", **attempt: Any) -> c.CreateVersions:
    versions = tuple(c.NewVersion(name=name) for name in names)
    return c.CreateVersions(**{**ATTEMPT, **attempt}, model=model, versions=versions)


def ensure(version: str | None = None, run: str | None = None, model: str = "churn", **attempt: Any) -> c.EnsureVersion:
    config = c.Config(
        model=model, reference=named(version) if version else None, card=ModelCard(), version=c.NewVersion()
    )
    return c.EnsureVersion(**{**ATTEMPT, **attempt}, config=config, run=run)


def start_run(run: str, **attempt: Any) -> c.StartRun:
    return c.StartRun(**{**ATTEMPT, **attempt}, run=run, pipeline="training")

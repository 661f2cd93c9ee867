"""The commands about models."""

from __future__ import annotations

from typing import Any

from tallymark_server.domain.commands.command import Command, Keys
from tallymark_server.domain.model import (
    Model,
    ModelCard,
    Stage,
)
from tallymark_server.domain.reference import in_stage


class CreateModel(Command[Model], frozen=True, kw_only=True):
    """Create a model without any version."""

    model: str
    card: ModelCard

    def add_required_keys(self, keys: Keys) -> None:
        Command.add_required_keys(self, keys)
        keys.models.add(self.model)


class ModelCommand(Command[Model], frozen=True, kw_only=True):
    """A change to a model that exists."""

    model: str

    def add_required_keys(self, keys: Keys) -> None:
        Command.add_required_keys(self, keys)
        keys.models.add(self.model)
        keys.holders.add(self.model)


class UpdateModel(ModelCommand, frozen=True, kw_only=True):
    """Change fields of a model's card."""

    changes: dict[str, Any]
    etag: str = ""


class RenameModel(ModelCommand, frozen=True, kw_only=True):
    """Give a model another name."""

    reload_after = True

    name: str
    etag: str = ""

    def add_required_keys(self, keys: Keys) -> None:
        ModelCommand.add_required_keys(self, keys)
        keys.models.add(self.name)


class DeleteModel(ModelCommand, frozen=True, kw_only=True):
    """Delete a model, so that it can be undeleted."""

    force: bool = False
    reason: str = ""
    etag: str = ""

    def add_required_keys(self, keys: Keys) -> None:
        ModelCommand.add_required_keys(self, keys)
        keys.versions.add((self.model, in_stage(Stage.PRODUCTION)))


class UndeleteModel(ModelCommand, frozen=True, kw_only=True):
    """Undelete a model."""

    reason: str = ""


class PurgeModel(ModelCommand, frozen=True, kw_only=True):
    """Purge a deleted model and its versions for ever."""

    reload_after = True

    reason: str = ""

"""What can be asked of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tallymark_server.domain.commands.parts import Command, Keys
from tallymark_server.domain.model import (
    Model,
    ModelCard,
    Stage,
)
from tallymark_server.domain.reference import in_stage


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateModel(Command[Model]):
    """Create a model without any version."""

    model: str
    card: ModelCard

    def declare(self, keys: Keys) -> None:
        Command.declare(self, keys)
        keys.models.add(self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCommand(Command[Model]):
    """A change to a model that exists."""

    model: str

    def declare(self, keys: Keys) -> None:
        Command.declare(self, keys)
        keys.models.add(self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateModel(ModelCommand):
    """Change fields of a model's card."""

    changes: dict[str, Any]
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameModel(ModelCommand):
    """Give a model another name."""

    changes_much = True

    name: str
    etag: str = ""

    def declare(self, keys: Keys) -> None:
        ModelCommand.declare(self, keys)
        keys.models.add(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteModel(ModelCommand):
    """Delete a model, so that it can be undeleted."""

    force: bool = False
    reason: str = ""
    etag: str = ""

    def declare(self, keys: Keys) -> None:
        ModelCommand.declare(self, keys)
        keys.versions.add((self.model, in_stage(Stage.PRODUCTION)))


@dataclass(frozen=True, slots=True, kw_only=True)
class UndeleteModel(ModelCommand):
    """Bring a deleted model back."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeModel(ModelCommand):
    """Put a deleted model and its versions away for good."""

    changes_much = True

    reason: str = ""

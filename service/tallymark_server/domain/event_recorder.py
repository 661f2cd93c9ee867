"""Record the events of one command, each with its revision, time and actor."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tallymark_server.domain.commands import Command
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Model, ModelVersion, Resource, Stage
from tallymark_server.domain.state import State


class EventRecorder:
    """Records the events of one command, once nothing can refuse it any more."""

    def __init__(self, state: State, command: Command[object], now: int) -> None:
        self.revision = state.revision + 1
        # The log's time never runs backwards, whatever the machine's clock does.
        self.time = max(now, state.time)
        self.actor = command.actor
        self.events: list[Event] = []

    def record(
        self,
        kind: Kind,
        image: Resource,
        *,
        reason: str = "",
        previous_stage: Stage | None = None,
        alias: str = "",
        previous_number: int = 0,
        previous_name: str = "",
    ) -> None:
        """Record the resource as it is after `self.revision`, and go on to the next revision."""
        self.events.append(
            Event(
                revision=self.revision,
                kind=kind,
                time=self.time,
                actor=self.actor,
                image=image,
                reason=reason,
                previous_stage=previous_stage,
                alias=alias,
                previous_number=previous_number,
                previous_name=previous_name,
            )
        )
        self.revision += 1

    def changed(self, version: ModelVersion, **changes: Any) -> ModelVersion:
        """Return the version as it is after a change at `self.revision`."""
        return replace(version, **changes, mod_revision=self.revision, update_time=self.time)

    def changed_model(self, model: Model, **changes: Any) -> Model:
        """Return the model as it is after a change at `self.revision`."""
        return replace(model, **changes, mod_revision=self.revision, update_time=self.time)

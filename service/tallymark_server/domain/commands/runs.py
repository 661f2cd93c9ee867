"""The commands about runs and their steps."""

from __future__ import annotations

from msgspec import Struct, field

from tallymark_server.domain.commands.command import Command, Config, Keys
from tallymark_server.domain.model import (
    ModelVersion,
    RecordingProblem,
    Run,
    RunState,
    RunStep,
    Value,
)
from tallymark_server.domain.reference import Reference


class Started(Struct, frozen=True):
    """A run, whether this request started it, and the version that its config means."""

    run: Run
    created: bool
    version: ModelVersion | None


class StartRun(Command[Started], frozen=True, kw_only=True):
    """Start a run, or join it, and find or create the version that its pipeline's config means."""

    run: str
    pipeline: str
    host: str = ""
    user: str = ""
    commit: str = ""
    url: str = ""
    command: str = ""
    start_time: int | None = None
    heartbeat_timeout: int | None = None
    parameters: dict[str, Value] = field(default_factory=dict)
    config: Config | None = None

    def add_required_keys(self, keys: Keys) -> None:
        Command.add_required_keys(self, keys)
        keys.runs.add(self.run)
        if self.config is not None:
            self.config.add_required_keys(keys, self.run)


class RunCommand(Command[Run], frozen=True, kw_only=True):
    """A change to a run that exists."""

    run: str

    def add_required_keys(self, keys: Keys) -> None:
        Command.add_required_keys(self, keys)
        keys.runs.add(self.run)


class RunStateCommand(RunCommand, frozen=True, kw_only=True):
    """A change to the state of a run, and with it to the run state of every version that the run created."""

    def add_required_keys(self, keys: Keys) -> None:
        RunCommand.add_required_keys(self, keys)
        keys.made.add(self.run)


class FinishRun(RunStateCommand, frozen=True, kw_only=True):
    """Finish a run. `end_time` is when the program ended it by its own clock, None for now."""

    state: RunState
    error: str = ""
    end_time: int | None = None


class LoseRun(RunStateCommand, frozen=True, kw_only=True):
    """Record a run as lost, if it is still running. `last_seen` is the time of its last sign of life."""

    last_seen: int


class ResumeRun(RunStateCommand, frozen=True, kw_only=True):
    """Resume a run, if it is lost."""


class ReportProblems(RunCommand, frozen=True, kw_only=True):
    """Add recording problems to a run."""

    problems: tuple[RecordingProblem, ...]


class StepCommand(Command[RunStep], frozen=True, kw_only=True):
    """A change to a step of a run."""

    run: str
    step: str

    def add_required_keys(self, keys: Keys) -> None:
        Command.add_required_keys(self, keys)
        keys.runs.add(self.run)
        keys.steps.add((self.run, self.step))


class StartStep(StepCommand, frozen=True, kw_only=True):
    """Start a step of a run. `version` is the model and the number that apply in it."""

    name: str
    version: tuple[str, Reference] | None = None
    start_time: int | None = None
    parameters: dict[str, Value] = field(default_factory=dict)

    def add_required_keys(self, keys: Keys) -> None:
        StepCommand.add_required_keys(self, keys)
        if self.version is not None:
            keys.models.add(self.version[0])
            keys.versions.add(self.version)


class FinishStep(StepCommand, frozen=True, kw_only=True):
    """Finish a step. `end_time` is when the program ended it by its own clock, None for now."""

    state: RunState
    error: str = ""
    end_time: int | None = None

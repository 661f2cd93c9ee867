"""States a rule: given what has happened, when something is requested, then what happens, or a refusal.

    given(model_created(), version_created(1)).when(create_version("a")).then(version_created(2, "a"))
    given(model_created()).when(create_model()).refused(ModelExists, model="churn")

Whatever is stated, three things more are checked of each decision: that it is the same with `validate_only`, which
changes nothing; that the answer shows what the resource is afterwards; and that the state into which the events
evolved is the one that is loaded after them.
"""

from __future__ import annotations

from typing import Any

from domain.events import Happened, Moment
from domain.history import BEGIN, SECOND, History
from msgspec.structs import replace

from tallymark_server.domain import commands as c
from tallymark_server.domain.commands import Keys
from tallymark_server.domain.decisions import AnyCommand, Decision, Outcome, handle
from tallymark_server.domain.errors import RegistryError, Unavailable
from tallymark_server.domain.model import Artifact, Erasure, Model, ModelVersion, Project, Run, RunStep
from tallymark_server.domain.state import State
from tallymark_server.storage.immediate import run_immediately

# When something is requested, after all that is given.
NOW = BEGIN + 1_000_000 * SECOND
# By whom all that is given was done.
ANA = "ana"


def given(*happened: Happened, exists: bool = True) -> Given:
    """A project in which this has happened. One that does not exist yet has no event."""
    history = History(exists=exists)
    for count, each in enumerate(happened):
        history.add([each(Moment(history, BEGIN + count * SECOND, ANA))])
    return Given(history)


class Given:
    """A project with its history."""

    def __init__(self, history: History) -> None:
        self.history = history

    def and_then(self, *happened: Happened) -> Given:
        """The project in which this has happened since, with some time after what was before."""
        history = self.history.copy()
        for each in happened:
            history.add([each(Moment(history, history.time + SECOND, ANA))])
        return Given(history)

    def when(self, command: AnyCommand, now: int = NOW) -> When:
        """What the command comes to."""
        return When(self.history, command, now)


class When:
    """What a command comes to in a project: `answer` and events, or a refusal."""

    def __init__(self, history: History, command: AnyCommand, now: int) -> None:
        self.history = history
        self.command = command
        self.now = now
        self.state = _loaded(history, command)
        self.result = _taken(self.state, command, now)
        # What was requested before with the same id is answered without being decided again.
        self.repeated = bool(command.request_id and _loaded(history, command).receipt(command.request_id, now))
        # Nor is what there is no room to remember.
        if not self.repeated and not isinstance(self.result, Unavailable):
            self._check_that_validating_changes_nothing()

    @property
    def answer(self) -> Any:
        """What is answered; a refusal is raised."""
        return self._decision.outcome

    @property
    def _decision(self) -> Decision:
        if isinstance(self.result, RegistryError):
            raise self.result
        return self.result

    def then(self, *expected: Happened) -> Given:
        """Exactly this happens; the project in which it has happened."""
        decision, after = self._decision, self.history.copy()
        for each in expected:
            after.add([each(Moment(after, max(self.now, self.history.time), self.command.actor))])
        assert list(decision.events) == after.events[self.history.revision :]
        after.receipts.update(self.state.answered)
        if not self.repeated and not self.command.validate_only:
            assert decision.outcome == _as_it_is(after, decision.outcome)
        if not self.command.reload_after:
            _check_that_it_holds(self.state, _loaded(after, self.command))
        return Given(after)

    def refused(self, error: type[RegistryError], **metadata: object) -> Given:
        """It is refused with this error, which carries at least these data; the project, in which nothing has changed.

        Only the refusal itself is remembered, if the request has an id.
        """
        assert type(self.result) is error, self.result
        assert {**self.result.metadata, **{key: str(value) for key, value in metadata.items()}} == self.result.metadata
        after = self.history.copy()
        after.receipts.update(self.state.answered)
        assert replace(self.state, answered=[]) == _loaded(after, self.command)
        return Given(after)

    def _check_that_validating_changes_nothing(self) -> None:
        command = replace(self.command, validate_only=True)
        state = _loaded(self.history, command)
        result = _taken(state, command, self.now)
        assert told(result) == told(self.result)
        assert isinstance(result, RegistryError) or result.events == ()
        assert state == _loaded(self.history, command)


def _loaded(history: History, *commands: AnyCommand) -> State:
    keys = Keys()
    for command in commands:
        command.add_required_keys(keys)
    return run_immediately(history.load(history.project, keys))


def _taken(state: State, command: AnyCommand, now: int) -> Decision | RegistryError:
    try:
        return handle(state, command, now)
    except RegistryError as error:
        return error


def told(result: Decision | Outcome | RegistryError) -> object:
    """What whoever requested it gets to see."""
    if isinstance(result, RegistryError):
        return type(result), str(result), result.metadata
    return result.outcome if isinstance(result, Decision) else result


def _as_it_is(history: History, outcome: Outcome) -> object:
    """The answer, with each resource in it as it is at the end of the history."""
    match outcome:
        case Model():
            model = history.model(outcome.name)
            assert model is not None
            # Nothing holds the places of a purged model.
            return replace(model, holders=history.holders(outcome.name))
        case ModelVersion():
            return history.version(outcome.model, outcome.number)
        case Run():
            return history.run(outcome.id)
        case RunStep():
            return history.step(outcome.run, outcome.id)
        case Artifact():
            owner = history.version(outcome.model, outcome.number)
            assert owner is not None
            return history.links(owner, outcome.name)[outcome.ordinal - 1]
        case Project():
            return history.events[0].image
        case Erasure():
            return history.events[-1].image
        case c.Ensured():
            return replace(outcome, version=_as_it_is(history, outcome.version))
        case c.Started():
            version = None if outcome.version is None else _as_it_is(history, outcome.version)
            return replace(outcome, run=history.run(outcome.run.id), version=version)
        case tuple():
            return tuple(_as_it_is(history, each) for each in outcome)


def _check_that_it_holds(evolved: State, loaded: State) -> None:
    """Check that what was loaded is in the evolved state, which may hold more than was loaded."""
    for name in set(loaded.__struct_fields__) - {"answered"}:
        of_one, of_other = getattr(evolved, name), getattr(loaded, name)
        if name == "models":
            of_one, of_other = (
                {key: model and replace(model, last_number=0) for key, model in each.items()}
                for each in (of_one, of_other)
            )
        if isinstance(of_other, dict):
            of_one = {key: of_one[key] for key in of_other}
        assert of_one == of_other, name

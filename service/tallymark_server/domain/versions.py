"""The rules for creating models and versions, which are numbered 1, 2, 3, ..., each number once, named or not."""

from __future__ import annotations

from msgspec.structs import replace

from tallymark_server.domain.capacity import check_card, check_version
from tallymark_server.domain.commands import Config, CreateModel, CreateVersions, Ensured, EnsureVersion, NewVersion
from tallymark_server.domain.errors import ModelExists, RunNotFound, VersionNameTaken
from tallymark_server.domain.event_recorder import EventRecorder
from tallymark_server.domain.events import Kind
from tallymark_server.domain.model import Model, ModelCard, ModelVersion, RunState, VersionUse
from tallymark_server.domain.reference import By, named
from tallymark_server.domain.state import State, missing


def create_model(state: State, command: CreateModel, recorder: EventRecorder) -> Model:
    """Create a model without versions. With the name of a purged one, it continues the numbers of that one."""
    known = state.models[command.model]
    if known is not None and not known.purged:
        raise ModelExists(state.project, command.model)
    return _write_model(state, command.model, command.card, recorder)


def create_versions(state: State, command: CreateVersions, recorder: EventRecorder) -> tuple[ModelVersion, ...]:
    """Create versions with successive numbers, all or none."""
    model = state.model(command.model)
    first = state.last_numbers[model.name] + 1
    names: dict[str, int] = {}
    for number, new in enumerate(command.versions, first):
        if new.name is None:
            continue
        taken = names.get(new.name) or state.pointers[(model.name, named(new.name))]
        if taken is not None:
            raise VersionNameTaken(state.project, model.name, new.name, taken)
        names[new.name] = number
    return tuple(_write_version(model, number, new, recorder) for number, new in enumerate(command.versions, first))


def ensure_version(state: State, command: EnsureVersion, recorder: EventRecorder) -> Ensured:
    """Return the version that the config means, after creating it if it does not exist."""
    if command.run is not None and state.runs[command.run] is None:
        raise RunNotFound(state.project, command.run)
    return ensure(state, command.config, recorder, run=command.run, step=command.step)


def ensure(state: State, config: Config, recorder: EventRecorder, *, run: str | None, step: str = "") -> Ensured:
    """Return the version that the config means in the run, or create it. A failed lookup records nothing."""
    found = find(state, config, run)
    if found is not None:
        if run is not None and config.reference is not None:
            _record_use(state, found, run, step, recorder)
        return Ensured(found, created=False)
    if config.reference is not None and config.reference.by is not By.NAME:
        state.model(config.model)
        raise missing(state.project, config.model, config.reference)
    known = state.models[config.model]
    absent = known is None or known.purged
    model = _write_model(state, config.model, config.card, recorder) if absent else state.model(config.model)
    number = state.last_numbers.get(config.model, 0) + 1
    name = None if config.reference is None else str(config.reference.value)
    automatic = name is None and run is not None
    new = replace(config.version, name=name)
    run_state = None if run is None else _run_state(state, run)
    version = _write_version(model, number, new, recorder, run=run, run_state=run_state, step=step, automatic=automatic)
    return Ensured(version, created=True)


def find(state: State, config: Config, run: str | None) -> ModelVersion | None:
    """Return the version that the config means in the run, None if it does not exist."""
    known = state.models[config.model]
    if known is None or known.purged:
        return None
    state.model(config.model)
    if config.reference is not None:
        version = state.find(config.model, config.reference)
        return None if version is None else state.version(config.model, config.reference)
    if run is None:
        return None
    number = state.automatic[(run, config.model)]
    return None if number is None else state.versions[(config.model, number)]


def _run_state(state: State, run: str) -> RunState:
    known = state.runs[run]
    return RunState.RUNNING if known is None else known.state


def _record_use(state: State, version: ModelVersion, run: str, step: str, recorder: EventRecorder) -> None:
    """Record once that the run uses a version which it did not create."""
    if version.run == run or version.number in state.uses.get((run, version.model), ()):
        return
    use = VersionUse(
        run=run,
        step=step,
        model_id=version.model_id,
        model=version.model,
        number=version.number,
        mod_revision=recorder.revision,
    )
    recorder.record(Kind.VERSION_USED, use)


def _write_model(state: State, name: str, card: ModelCard, recorder: EventRecorder) -> Model:
    check_card(card)
    known = state.models[name]
    model = Model(
        id=state.last_model_id + 1 if known is None else known.id,
        name=name,
        last_number=state.last_numbers.get(name, 0),
        card=card,
        creator=recorder.actor,
        create_time=recorder.time,
        update_time=recorder.time,
        create_revision=recorder.revision,
        mod_revision=recorder.revision,
    )
    recorder.record(Kind.MODEL_CREATED, model)
    return model


def _write_version(
    model: Model,
    number: int,
    new: NewVersion,
    recorder: EventRecorder,
    *,
    run: str | None = None,
    run_state: RunState | None = None,
    step: str = "",
    automatic: bool = False,
) -> ModelVersion:
    version = ModelVersion(
        model_id=model.id,
        model=model.name,
        number=number,
        name=new.name,
        description=new.description,
        tags=new.tags,
        metadata=new.metadata,
        run=run,
        run_state=run_state,
        step=step,
        automatic=automatic,
        creator=recorder.actor,
        create_time=recorder.time,
        update_time=recorder.time,
        create_revision=recorder.revision,
        mod_revision=recorder.revision,
    )
    recorder.record(Kind.VERSION_CREATED, check_version(version))
    return version

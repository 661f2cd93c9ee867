"""What the decorators ask of the registry: starting, joining and finishing runs, and finding their versions."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from tallymark import calls
from tallymark.client import Client, shared
from tallymark.context import (
    ActiveRun,
    Frame,
    current_frame,
    ended_run,
    outer_run_id,
    outer_substitutions,
    remembered,
)
from tallymark.errors import RunNotFound, TallymarkError
from tallymark.memory import REGISTRY_KEY, filled
from tallymark.model import Model, card_of, memory_of
from tallymark.resources import ModelVersion
from tallymark.settings import Settings, current
from tallymark.surroundings import surroundings
from tallymark.values import RunState
from tallymark.warning import warn

# A run id begins with its start, so that every process of the run knows it to the microsecond.
_START_FORMAT = "%Y%m%d-%H%M%S-%f"

# A version in one of these is another one tomorrow, so each run asks again.
_MOVING = ("latest", "staging", "production")


def resolve(model: Model, settings: Settings) -> ModelVersion:
    """The version that the model means here, found once for each run, or once for the object outside a run."""
    frame = current_frame(joined_frame)
    if frame is None:
        registry = (settings.url, settings.project)
        if model.version is None and registry not in memory_of(model).versions:
            made = memory_of(model).of_run(ended_run(), registry)
            if made is not None:
                return made
        return _resolve(model, settings, None, "", {})
    return _resolve(model, frame.run.settings, frame.run, frame.step, frame.substitutions)


def would_create(model: Model, settings: Settings) -> bool:
    """Whether asking what the model means would create a version here: outside runs, without a version of it."""
    registry = (settings.url, settings.project)
    memory = memory_of(model)
    return (
        model.version is None
        and registry not in memory.versions
        and memory.of_run(ended_run(), registry) is None
        and current_frame(joined_frame) is None
    )


def version_in(frame: Frame, model: Model) -> tuple[Client, ModelVersion]:
    """The version that the model means in the frame's run, and the client that is asked about it."""
    return shared(frame.run.settings), _resolve(model, frame.run.settings, frame.run, frame.step, frame.substitutions)


def known_in(frame: Frame) -> ModelVersion | None:
    """The version in force in the frame, if it was asked for already."""
    if frame.model is None:
        return None
    return memory_of(frame.model).versions.get(_key(frame.model, frame.run.settings, frame.run, frame.substitutions))


def resolve_for_step(model: Model, run: ActiveRun, step: str, substitutions: Mapping[str, str]) -> ModelVersion:
    """The version that a step's own model means in its run."""
    return _resolve(model, run.settings, run, step, substitutions)


def _resolve(
    model: Model, settings: Settings, run: ActiveRun | None, step: str, substitutions: Mapping[str, str]
) -> ModelVersion:
    memory, key = memory_of(model), _key(model, settings, run, substitutions)
    found = memory.versions.get(key)
    if found is None:
        config = _config(model, settings, run, substitutions)
        request_id = memory.request_ids.setdefault(key, calls.new_request_id())
        call = calls.ensure_version(settings.project, config, run.id if run else None, step, request_id)
        found = shared(settings).run_call(call).version
        _keep(model, key, found)
    return found


def _keep(model: Model, key: tuple[str, ...], version: ModelVersion) -> None:
    """Keep what the model means in a run; outside runs too, if it means the same there."""
    memory_of(model).keep(key, version)
    if not _differs_by_run(model):
        memory_of(model).keep(key[:REGISTRY_KEY], version)


def _differs_by_run(model: Model) -> bool:
    version = model.version
    return version in (None, *_MOVING) or version.startswith("@") or "{" in model.name + version


def _key(model: Model, settings: Settings, run: ActiveRun | None, substitutions: Mapping[str, str]) -> tuple[str, ...]:
    """By what the model's memory knows the version: the same for all who mean the same.

    In every run it is asked for anew, so that the registry knows which runs use a version.
    """
    if run is None:
        return (settings.url, settings.project)
    return (*run.key, *_texts(model, settings, run, substitutions))


def _texts(
    model: Model, settings: Settings, run: ActiveRun | None, substitutions: Mapping[str, str]
) -> tuple[str, str]:
    """Name and version with their templates filled in: in a run by its start, outside once for the object."""
    if run is not None:
        known = {**run.substitutions, **substitutions}
        return filled(model.name, run.start, known), filled(model.version or "", run.start, known)
    texts, registry, now = memory_of(model).texts, (settings.url, settings.project), datetime.now(UTC)
    if registry not in texts:
        texts.setdefault(registry, (filled(model.name, now, {}), filled(model.version or "", now, {})))
    return texts[registry]


def _config(model: Model, settings: Settings, run: ActiveRun | None, substitutions: Mapping[str, str]) -> Any:
    """What the registry is asked for."""
    name, version = _texts(model, settings, run, substitutions)
    return calls.config(name, version, card_of(model), model.tags)


def start_run(
    name: str, model: Model | None, substitutions: Mapping[str, str], parameters: Mapping[str, object]
) -> Frame:
    """Start a run of the pipeline of that name, or join the run that the environment names.

    The version that the pipeline's model means is found or created in the same step, so that a run that could not be
    numbered fails before any training.
    """
    settings = current()
    outer = outer_run_id()
    if outer:
        return _start_named_run(outer, name, model, settings, substitutions, parameters)
    start = datetime.now(UTC)
    run_id = f"{start.strftime(_START_FORMAT)}-{secrets.token_hex(3)}"
    run = ActiveRun(run_id, settings, start, dict(substitutions), owned=True)
    config = _config(model, settings, run, {}) if model is not None else None
    told = {"pipeline": name, **surroundings(), "parameters": parameters}
    started = _client(run).run_call(calls.start_run(settings.project, run_id, told, config))
    if model is not None and started.version is not None:
        _keep(model, _key(model, settings, run, {}), started.version)
    return Frame(run, model, "")


def _start_named_run(
    run_id: str,
    name: str,
    model: Model | None,
    settings: Settings,
    substitutions: Mapping[str, str],
    parameters: Mapping[str, object],
) -> Frame:
    known = {**outer_substitutions(), **substitutions}
    run = ActiveRun(run_id, settings, _start_of(run_id, datetime.now(UTC)), known, owned=False)
    # Every process that joins fills in templates by the time at which the registry has the run started, so the run must
    # be there before its version is asked for.
    templated = model is not None and "{" in model.name + (model.version or "")
    config = _config(model, settings, run, {}) if model is not None and not templated else None
    told = {"pipeline": name, **surroundings(), "parameters": parameters}
    started = shared(settings).run_call(calls.start_run(settings.project, run_id, told, config))
    run.start, run.owned = _start_of(run_id, started.run.create_time), started.created
    if model is not None:
        _resolve(model, settings, run, "", {})
    return Frame(run, model or _model_of(started.version), "")


def join_run(outer: Frame, model: Model | None, substitutions: Mapping[str, str]) -> Frame:
    """Let a pipeline within a run belong to it; its model replaces the outer one."""
    if model is None:
        return outer._replace(step="")
    _resolve(model, outer.run.settings, outer.run, "", substitutions)
    return Frame(outer.run, model, "", substitutions)


def joined_frame(run_id: str) -> Frame:
    """The frame of a run that was started by another process; RunNotFound."""
    settings = current()

    def join() -> Frame:
        client = shared(settings)
        run = client.get_run(run_id)
        version = client.get_version(run.model_version) if run.model_version else None
        start = _start_of(run_id, run.create_time)
        active = ActiveRun(run_id, settings, start, outer_substitutions(), owned=False)
        frame = Frame(active, _model_of(version), "")
        if frame.model is not None and version is not None:
            _keep(frame.model, _key(frame.model, settings, active, {}), version)
        return frame

    try:
        return remembered((settings.url, settings.project, run_id), join)
    except RunNotFound as error:
        message = f"{error}: TALLYMARK_RUN_ID names it; unset the variable, or start the run with @pipeline first"
        raise RunNotFound(message, code=error.code, metadata=error.metadata) from None


def finish_run(run: ActiveRun, error: BaseException | None) -> None:
    """Record the outcome. That it could not be recorded is told, and changes neither result nor error of the run."""
    state = RunState.SUCCEEDED if error is None else RunState.FAILED
    try:
        _client(run).finish_run(run.id, state, error="" if error is None else run.describe(error))
    except TallymarkError as problem:
        message = f"the outcome of {run!r} ({state.value}) could not be recorded: {problem}"
        if error is not None:
            error.add_note(message)
        else:
            warn(message)


def _client(run: ActiveRun) -> Client:
    return shared(run.settings)


def _model_of(version: ModelVersion | None) -> Model | None:
    if version is None:
        return None
    return Model(version.model, version.number)


def _start_of(run_id: str, otherwise: datetime) -> datetime:
    with suppress(ValueError):
        return datetime.strptime(run_id.rsplit("-", 1)[0], _START_FORMAT).replace(tzinfo=UTC)
    return otherwise

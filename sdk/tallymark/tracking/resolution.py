"""Resolve a `Model` to a version in a run or outside runs, with the requests that find or create it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from tallymark.client import calls
from tallymark.client.blocking import Client, shared
from tallymark.client.calls import Call
from tallymark.delivery.outcomes import is_refusal
from tallymark.delivery.sender import check_reachable, flush, note_outage
from tallymark.delivery.spool import EPOCH, run_header
from tallymark.errors import (
    AmbiguousRun,
    ModelNotFound,
    NotFound,
    NumberPending,
    RunNotFound,
    TallymarkError,
    Unavailable,
    VersionNotFound,
)
from tallymark.settings import Settings, current
from tallymark.tracking.context import (
    ActiveRun,
    Frame,
    cached_joined_frame,
    current_frame,
    ended_run,
    outer_substitutions,
    start_from_id,
)
from tallymark.tracking.disabled import disabled_version
from tallymark.tracking.model_spec import ModelSpec, card_of, version_cache_of
from tallymark.tracking.version_cache import Key, fill_template
from tallymark.types.resources import Ensured, ModelVersion

# References that, like aliases and numbers, are only looked up: the registry creates no version for them.
_MOVING_REFERENCES = ("latest", "staging", "production")


class Resolution:
    """The version that a model means in a run, or outside runs if `run` is None.

    In a run, it is resolved once, and is the same for all models with the same name and version. Outside runs, the
    model means the version of the last run that used it, or the one that was created through it since.
    """

    def __init__(
        self,
        model: ModelSpec,
        settings: Settings,
        run: ActiveRun | None = None,
        step: str = "",
        substitutions: Mapping[str, str] | None = None,
    ) -> None:
        self.model = model
        self.settings = settings
        self.run = run
        self.step = step
        self.substitutions = substitutions or {}
        self._version_cache = version_cache_of(model)

    @classmethod
    def in_context(cls, model: ModelSpec, settings: Settings) -> Resolution:
        """Return the resolution for the code that runs now. Raises AmbiguousRun."""
        frame = current_frame(joined_frame)
        return cls(model, settings) if frame is None else cls.in_frame(model, frame)

    @classmethod
    def in_frame(cls, model: ModelSpec, frame: Frame) -> Resolution:
        """Return the resolution in the frame's run and step."""
        return cls(model, frame.run.settings, frame.run, frame.step, frame.substitutions)

    @property
    def client(self) -> Client:
        """The client of the registry."""
        return shared(self.settings)

    @cached_property
    def texts(self) -> tuple[str, str]:
        """The name and version, their templates filled in at the run's start, or outside runs at the first use."""
        if self.run is not None:
            known = {**self.run.substitutions, **self.substitutions}
            return self._filled(self.run.start, known)
        texts = self._version_cache.texts
        if self._registry not in texts:
            texts.setdefault(self._registry, self._filled(datetime.now(UTC), self.substitutions))
        return texts[self._registry]

    @cached_property
    def key(self) -> Key:
        """The key of the version in the model's cache: the same for all models with the same name and version."""
        return self._registry if self.run is None else (*self.run.key, *self.texts)

    def config(self, tags: Sequence[str] = (), **new_version: Any) -> Any:
        """Return the ModelConfig message; `tags` and `new_version` describe a version that is created."""
        return calls.config(*self.texts, card_of(self.model), self.model.tags, {"tags": tags, **new_version})

    def cached(self) -> ModelVersion | None:
        """Return the version without a call, None if it is not resolved yet."""
        if self.run is None:
            return self._version_cache.outside(self._registry, ended_run())
        found = self._version_cache.in_run(self.key)
        if found is None and self.texts in self.run.versions:
            # Resolved by another object with the same name, which the registry may not know since a rename.
            found = self.run.versions[self.texts]
            self._version_cache.keep(self.key, found)
        return found

    def ensure(self) -> Ensured:
        """Return the version, created if it does not exist, and whether this call created it.

        Raises:
            NotFound: The number, stage or alias names no version.
            NumberPending: The mode is offline or the registry unavailable, and the model has no explicit number.
        """
        try:
            return self.resolve()
        except NumberPending:
            name, version = self.texts
            if not version.isdecimal():
                raise
            return Ensured(disabled_version(name, version, self.settings), created=False)

    def resolve(self) -> Ensured:
        """Return the version as `ensure` does, but only as the registry has returned it. Raises NumberPending."""
        found = self.cached()
        if found is not None:
            return Ensured(found, created=False)
        return self._keep(self._send(self.config(), self._request_id()))

    def find(self) -> ModelVersion:
        """Return the version without creating one, after the records of runs are sent.

        Raises:
            ModelNotFound, VersionNotFound, NotFound: The version does not exist.
            Unavailable: The registry is unavailable; at once if that is known.
        """
        flush(self.settings)
        check_reachable(self.settings, self.run)
        found = self.cached()
        if found is not None:
            return found
        if self.run is None and self.model.version is None:
            raise self._with_advice(self._missing())
        try:
            if self._may_create():
                trial = self._send(self.config(), calls.new_request_id(), validate_only=True)
                if trial.created:
                    raise self._missing()
                if self.run is None:
                    return self._keep(trial).version
            return self._keep(self._send(self.config(), self._request_id())).version
        except (ModelNotFound, VersionNotFound) as error:
            raise self._with_advice(error) from None

    def create(self, *, description: str, tags: Sequence[str], metadata: Mapping[str, object]) -> Ensured:
        """Create the version, or return the one that exists under the name or in the run."""
        new = self.config(tags, description=description, metadata=metadata)
        return self._keep(self._send(new, calls.new_request_id()))

    def keep(self, version: ModelVersion) -> None:
        """Cache a version that was resolved elsewhere, such as by starting a run."""
        self._version_cache.keep(self.key, version)
        if self.run is not None:
            self.run.versions[self.texts] = version

    def _keep(self, ensured: Ensured) -> Ensured:
        # Concurrent threads send the same request id, and each response says that it created the version.
        is_new = self._version_cache.keep(self.key, ensured.version)
        if self.run is not None:
            self.run.versions[self.texts] = ensured.version
        return Ensured(ensured.version, created=ensured.created and is_new)

    def request(self) -> Call[Ensured]:
        """Return the call that finds or creates the version, with the same request id each time."""
        return self._call(self.config(), self._request_id())

    def _call(self, config: Any, request_id: str) -> Call[Ensured]:
        run = self.run.id if self.run else None
        return calls.ensure_version(self.settings.project, config, run, self.step, request_id)

    def _send(self, config: Any, request_id: str, *, validate_only: bool = False) -> Ensured:
        check_reachable(self.settings, self.run)
        try:
            return self.client.run_call(calls.with_validate_only(self._call(config, request_id), validate_only))
        except Unavailable as error:
            if self.run is not None:
                note_outage(self.settings, error)
            raise
        except TallymarkError as error:
            if is_refusal(error):
                # The registry stores the refusal under the request id, so another attempt needs another id.
                self._version_cache.request_ids.pop(self.key, None)
            raise

    def _request_id(self) -> str:
        return self._version_cache.request_ids.setdefault(self.key, calls.new_request_id())

    @property
    def _registry(self) -> Key:
        return (self.settings.url, self.settings.project)

    def _filled(self, moment: datetime, known: Mapping[str, str]) -> tuple[str, str]:
        return fill_template(self.model.name, moment, known), fill_template(self.model.version or "", moment, known)

    def _may_create(self) -> bool:
        version = self.texts[1]
        return not (version.isdecimal() or version.startswith("@") or version in _MOVING_REFERENCES)

    def _missing(self) -> NotFound:
        """Return the error for a version that does not exist: ModelNotFound if its model does not exist either."""
        name, version = self.texts
        try:
            self.client.get_model(name)
        except ModelNotFound as error:
            return error
        if version:
            return VersionNotFound(f"model {name!r} has no version {version!r}")
        where = "" if self.run is None else f" in {self.run!r}"
        return VersionNotFound(f"{self.model!r} means no version{where} yet")

    def _with_advice(self, error: NotFound) -> NotFound:
        """Return the error with advice on what to do."""
        name, version = self.texts
        advice = f"; create it with {self.model!r}.create(), or in a run"
        if version and not self._may_create():
            advice = f"; list its versions with `tallymark version list {name}`"
        elif isinstance(error, VersionNotFound):
            advice += f", or name an existing version, as in Model({name!r}, version='latest')"
        elif "renamed_to" in error.metadata:
            return error
        else:
            # The service advises to create the model or to check its name, but not how to create it.
            advice = f": {advice.removeprefix('; ').replace('create it', 'create the model and its version')}"
        return type(error)(f"{error}{advice}", code=error.code, metadata=error.metadata)


def joined_frame(run_id: str) -> Frame:
    """Return the frame of a run that another process has started. Raises RunNotFound."""
    settings = current()

    def join() -> Frame:
        spooled = _spooled_frame(run_id, settings)
        if spooled is not None:
            return spooled
        client = shared(settings)
        run = client.get_run(run_id)
        version = client.get_version(run.model_version) if run.model_version else None
        start = start_from_id(run_id, run.create_time)
        active = ActiveRun(run_id, settings, start, outer_substitutions(), owned=False)
        active.model = spec_of(version)
        frame = Frame(active, active.model, "")
        if frame.model is not None and version is not None:
            Resolution.in_frame(frame.model, frame).keep(version)
        return frame

    try:
        return cached_joined_frame((settings.url, settings.project, run_id), join)
    except RunNotFound as error:
        message = f"{error}: TALLYMARK_RUN_ID names it; unset the variable, or start the run with @pipeline first"
        raise RunNotFound(message, code=error.code, metadata=error.metadata) from None


def current_frame_or_none() -> Frame | None:
    """Return the frame of the code that runs now, None outside runs or if several are open."""
    try:
        return current_frame(joined_frame)
    except AmbiguousRun:
        return None


def _spooled_frame(run_id: str, settings: Settings) -> Frame | None:
    """Return the frame of a run from its journal in the spool, None unless the mode is offline."""
    if not settings.offline:
        return None
    header = run_header(settings, run_id)
    if header is None:
        raise RunNotFound(f"no run {run_id!r} in {settings.spool}")
    start = EPOCH + timedelta(microseconds=header.start)
    run = ActiveRun(run_id, settings, start, outer_substitutions(), owned=False)
    run.model = None if header.model is None else ModelSpec(header.model, header.version)
    return Frame(run, run.model, "")


def spec_of(version: ModelVersion | None) -> ModelSpec | None:
    """Return a model that refers to the version by its number."""
    return None if version is None else ModelSpec(version.model, version.number)

"""`Model`: which version of which model a program means."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tallymark.arguments import described, number, real, text, texts
from tallymark.errors import ArtifactNotFound, InvalidArgument, Unavailable
from tallymark.memory import Memory
from tallymark.settings import current
from tallymark.values import Stage, stage_of
from tallymark.warning import warn

if TYPE_CHECKING:
    from tallymark.client import Client
    from tallymark.resources import ArtifactInfo, ModelVersion
    from tallymark.values import ArtifactType


class Model:
    """Which version of which model a program means. Making one asks the registry for nothing.

    `version` says which version:

    - None: in a run, the run's one automatic version; outside, a new one, numbered at its first use and kept, or, if
      the object was used in runs only, what the last of them has made of it
    - a number, or digits: the version of that number
    - `production`, `staging`, `latest` or `@ALIAS`: the version that holds it
    - any other text: the version of that explicit name, created if it is missing

    `name` and `version` may contain `{date}` and `{time}` (of the run's start, UTC), and what `substitutions` of the
    pipeline or the step name. The other fields describe a model that is created by its first use; `tags` are given to
    the version too. While nothing is recorded (TALLYMARK_MODE=disabled) nothing is asked: the number is the one that
    was given, else 0.
    """

    def __init__(
        self,
        name: str,
        version: str | int | Stage | None = None,
        *,
        description: str = "",
        license: str = "",  # noqa: A002 - the contract's word
        audience: str = "",
        use_cases: str = "",
        limitations: str = "",
        trade_offs: str = "",
        ethics: str = "",
        tags: Iterable[str] = (),
    ) -> None:
        self.name = text(name, "Model(name=...)")
        self.version = _version_text(version)
        self.tags = texts((tags,) if isinstance(tags, str) else tags, "Model(tags=...)")
        self._card = {
            "description": description,
            "license": license,
            "audience": audience,
            "use_cases": use_cases,
            "limitations": limitations,
            "trade_offs": trade_offs,
            "ethics": ethics,
        }
        for field, value in self._card.items():
            text(value, f"Model({field}=...)")
        self._memory = Memory()

    def __repr__(self) -> str:
        return f"Model({self.name!r})" if self.version is None else f"Model({self.name!r}, {self.version!r})"

    def __eq__(self, other: object) -> bool:
        """Whether both mean the same by name and version, whatever the registry holds."""
        return isinstance(other, Model) and (self.name, self.version) == (other.name, other.version)

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    @property
    def number(self) -> int:
        """The version's number, asked for at the first use; NotFound, InvalidArgument, Unavailable.

        This waits for the registry, so in asyncio code use `await model.anumber()`.
        """
        return self._resolve().number

    async def anumber(self) -> int:
        """The version's number, without holding up the event loop."""
        import asyncio

        return (await asyncio.to_thread(self._resolve)).number

    @property
    def version_name(self) -> str:
        """What the version is called: its explicit name, or its number as text."""
        return self._resolve().name

    @property
    def id(self) -> str:
        """The version's resource name, `projects/{project}/models/{model}/versions/{number}`."""
        return self._resolve().resource_name

    @property
    def info(self) -> ModelVersion:
        """The version as it is now, read anew."""
        if current().disabled:
            return self._resolve()
        if "tallymark.measuring" in sys.modules:
            from tallymark import measuring

            measuring.flush(current(), self._existing_id())
        return self._client().get_version(self._existing_id())

    @property
    def stage(self) -> Stage:
        """The version's stage now, read anew."""
        return self.info.stage

    @property
    def metadata(self) -> Mapping[str, object]:
        """The version's metadata now, read anew."""
        return self.info.metadata

    @property
    def aliases(self) -> tuple[str, ...]:
        """The aliases that point at the version now, read anew."""
        return self.info.aliases

    @property
    def artifacts(self) -> list[ArtifactInfo]:
        """What the version made and was made from, read anew, in the order in which it was linked."""
        return [] if current().disabled else list(self._client().list_artifacts(self._existing_id()))

    def save(
        self,
        name: str,
        value: object,
        *,
        format: str | None = None,  # noqa: A002 - the contract's word
        type: ArtifactType | str | None = None,  # noqa: A002 - the contract's word
    ) -> ArtifactInfo | None:
        """Save a value to the store, and link it as an artifact that the version made; None when nothing is recorded.

        What the value is decides the format, unless one is named: numbers, lists and mappings of these become JSON,
        arrays npy, estimators of scikit-learn skops, mappings of tensors safetensors, tables parquet, a pathlib.Path
        the file that it names. `joblib`, a pickle, must be asked for by name. InvalidArgument, StoreUnavailable.
        """
        if current().disabled:
            return None
        from tallymark import artifacts, here

        frame = here.current_frame_or_none()
        linking = {} if frame is None else {"run": frame.run.id, "step": frame.step}
        return artifacts.save(self._client(), self._resolve(), name, value, format=format, type=type, **linking)

    def load(
        self,
        name: str,
        *,
        format: str | None = None,  # noqa: A002 - the contract's word
        trusted: Sequence[str] = (),
    ) -> Any:
        """The value of an artifact, by `classifier` (the newest) or `classifier@2`, verified by its digest.

        Within a step or pipeline, its model's version is linked to the artifact as made from it. ArtifactNotFound,
        DigestMismatch, StoreUnavailable.
        """
        from tallymark import artifacts, here

        if current().disabled:
            raise ArtifactNotFound(
                f"nothing is recorded (TALLYMARK_MODE=disabled), so {self!r} has no artifact {name!r}"
            )
        found = self._client().get_artifact(self._existing_id(), name)
        value = artifacts.load(found, format=format, trusted=trusted)
        artifacts.tell_use(here.current_frame_or_none(), found)
        return value

    def log_metric(self, key: str, value: float, *, step: int | None = None) -> None:
        """Log a metric: what was measured at a step, such as an epoch or a batch, or once, without one.

        Points of a series are gathered, and sent together after a second, and at the end of the step or the run at the
        latest. The version's metadata has the value of the highest step, or the one that was measured once.
        """
        settings = current()
        if step is None:
            self.log_metadata({text(key, "log_metric(key=...)"): real(value, "log_metric(value=...)")})
        elif not settings.disabled:
            from tallymark import measuring
            from tallymark.resources import MetricPoint

            point = MetricPoint(
                text(key, "log_metric(key=...)"),
                number(step, "log_metric(step=...)"),
                real(value, "log_metric(value=...)"),
            )
            measuring.log_metric(settings, self.id, point)

    def log_metadata(self, metadata: Mapping[str, object]) -> None:
        """Set metadata of the version by key: numbers, text, booleans, datetimes, Uri, lists and mappings of these.

        In a run, a registry that has gone away is told in a warning: the training goes on. Elsewhere, Unavailable.
        """
        if current().disabled:
            return
        version = self.id
        try:
            self._client().log_metadata(version, metadata)
        except Unavailable as problem:
            from tallymark import here

            if here.current_frame_or_none() is None:
                raise
            warn(f"metadata of {version} is lost ({', '.join(sorted(metadata))}): {problem}")

    def set_stage(self, stage: Stage | str, *, force: bool = False, reason: str = "") -> ModelVersion:
        """Move the version to a stage; with force, its holder goes to the archive. StageOccupied."""
        if current().disabled:
            return self._unrecorded(stage=stage_of(stage))
        return self._client().set_stage(self._existing_id(), stage, force=force, reason=reason)

    def set_alias(self, alias: str, *, expected_number: int | None = None, reason: str = "") -> ModelVersion:
        """Point an alias at the version; AliasMoved if it is not where it is expected (0: nowhere)."""
        if current().disabled:
            return self._unrecorded(aliases=(alias,))
        return self._client().set_alias(self._existing_id(), alias, expected_number=expected_number, reason=reason)

    def _existing_id(self) -> str:
        """As `id`, where a version is to be there already: what reads or promotes creates none. InvalidArgument."""
        from tallymark.recording import would_create

        if would_create(self, current()):
            raise InvalidArgument(
                f"{self!r} means a new version here, and this needs one that is there: name it, as in"
                f" Model({self.name!r}, version='latest')"
            )
        return self.id

    def _client(self) -> Client:
        from tallymark.client import shared

        return shared(current())

    def _resolve(self) -> ModelVersion:
        settings = current()
        if settings.disabled:
            return self._unrecorded()
        from tallymark.recording import resolve

        return resolve(self, settings)

    def _unrecorded(self, **changes: Any) -> ModelVersion:
        from tallymark.unrecorded import unrecorded

        return unrecorded(self.name, self.version, current(), **changes)


def memory_of(model: Model) -> Memory:
    """What the model was found to mean."""
    return model._memory  # noqa: SLF001 - users should not see it among what a model has


def card_of(model: Model) -> Mapping[str, str]:
    """The fields that describe a model which is created."""
    return model._card  # noqa: SLF001 - users should not see it among what a model has


def _version_text(version: str | int | Stage | None) -> str | None:
    match version:
        case None:
            return None
        case bool():
            raise InvalidArgument("version is a number, text, a stage or None, not a bool")
        case int() if version < 1:
            raise InvalidArgument(f"version is {version}; numbers go from 1, and None asks for a new one")
        case int():
            return str(version)
        case str():
            if not version:
                raise InvalidArgument("version is empty; None asks for a new one, numbered automatically")
            return str(text(version, "Model(version=...)"))
        case _:
            raise InvalidArgument(f"version is a number, text, a stage or None, not {described(version)}")

"""The methods of the client for asyncio about what runs make and use: artifacts, metrics, runs, steps and lineage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from tallymark.client import calls
from tallymark.client.argument_checks import checked
from tallymark.client.calls import Call, ListOptions, Page
from tallymark.types.artifact_info import ArtifactInfo
from tallymark.types.enums import ArtifactRole, ArtifactType, RunState
from tallymark.types.recording_problem import RecordingProblem
from tallymark.types.resources import Heartbeat, Lineage, MetricPoint, ModelVersion, Run, RunStep, Started

T = TypeVar("T")
# As many as one request takes.
MAX_POINTS = 1000


@checked
class AsyncTracking(ABC):
    """What a client asks about runs, and about what they make and use.

    `at`, a revision or a time, gives everything as it was then, and what a reference meant then. Without it, a list
    shows what there is when it is begun.
    """

    _project: str

    @abstractmethod
    async def run_call(self, call: Call[T]) -> T:
        """The answer to a call made by `tallymark.client.calls`."""

    @abstractmethod
    def _pages(self, page_of: Callable[[str], Call[Page[T]]]) -> AsyncIterator[T]: ...

    async def log_metadata(
        self, reference: str, metadata: Mapping[str, object], *, delete_keys: Sequence[str] = ()
    ) -> ModelVersion:
        """Set metadata of a version by key, and take keys away, series with all their points.

        Values are numbers, text, booleans, None, datetimes, Uri, lists and mappings of these.
        """
        return await self.run_call(calls.log_metadata(self._project, reference, metadata, delete_keys))

    async def log_metrics(self, reference: str, points: Sequence[MetricPoint]) -> None:
        """Log points of metrics of a version, of which its metadata has the values at the highest steps.

        A step measured again replaces what was measured before. More than 1000 points go in several requests.
        """
        for start in range(0, len(points), MAX_POINTS):
            some = points[start : start + MAX_POINTS]
            await self.run_call(calls.log_metadata(self._project, reference, {}, (), some))

    def list_metrics(self, reference: str, *keys: str, at: int | datetime | None = None) -> AsyncIterator[MetricPoint]:
        """All points of these metrics of a version (none: of all), by metric and step."""
        return self._pages(lambda token: calls.list_metrics(self._project, reference, token, keys, at))

    async def link_artifact(
        self,
        reference: str,
        name: str,
        uri: str,
        *,
        type: ArtifactType | str = ArtifactType.DATA,  # noqa: A002 - the contract's word
        digest: str = "",
        size: int = 0,
        format: str = "",  # noqa: A002 - the contract's word
        role: ArtifactRole | str = ArtifactRole.MADE,
        run: str | None = None,
        step: str = "",
    ) -> ArtifactInfo:
        """Link something kept elsewhere to a version that made or used it; what is linked already is given back.

        `size` is in bytes; `digest` has the form `sha256:` and hexadecimal digits.
        """
        told = {
            "type": type,
            "uri": uri,
            "digest": digest,
            "size_bytes": size,
            "format": format,
            "role": role,
            "run": run,
            "step": step,
        }
        return await self.run_call(calls.link_artifact(self._project, reference, name, told))

    async def unlink_artifact(self, reference: str, name: str, *, reason: str = "") -> ArtifactInfo:
        """Take a link away, by `classifier` (the newest) or `classifier@2`; ArtifactNotFound."""
        return await self.run_call(calls.unlink_artifact(self._project, reference, name, reason))

    async def get_artifact(self, reference: str, name: str, *, at: int | datetime | None = None) -> ArtifactInfo:
        """The artifact of a version, by `classifier` (the newest) or `classifier@2`; ArtifactNotFound."""
        return await self.run_call(calls.get_artifact(self._project, reference, name, at))

    def list_artifacts(
        self,
        reference: str,
        *,
        filter: str = "",  # noqa: A002 - the contract's word
        at: int | datetime | None = None,
    ) -> AsyncIterator[ArtifactInfo]:
        """The artifacts of a version of which the filter is true, in the order in which they were linked."""
        listed = ListOptions(filter, at=at)
        return self._pages(lambda token: calls.list_artifacts(self._project, reference, token, listed))

    async def lineage(
        self,
        reference: str = "",
        *,
        run: str | None = None,
        direction: str = "both",
        depth: int = 4,
        at: int | datetime | None = None,
    ) -> Lineage:
        """What a version or a run came from (`upstream`), what came from it (`downstream`), or both, so far away.

        Versions come without description and metadata, runs without parameters, command and recording problems.
        """
        return await self.run_call(calls.lineage(self._project, reference, run, direction, depth, at))

    async def start_run(
        self,
        run: str,
        *,
        pipeline: str = "",
        host: str = "",
        user: str = "",
        commit: str = "",
        url: str = "",
        command: str = "",
        parameters: Mapping[str, object] | None = None,
        start_time: datetime | None = None,
        heartbeat_timeout: timedelta | None = None,
    ) -> Started:
        """Start a run, or join it when it was started before.

        `start_time` is when the program started it, if that was earlier. With a `heartbeat_timeout`, from 1 second to
        30 days, the run is recorded as lost when no heartbeat_run() arrives for so long.
        """
        told = {
            "pipeline": pipeline,
            "host": host,
            "user": user,
            "commit": commit,
            "url": url,
            "command": command,
            "parameters": parameters or {},
            "start_time": start_time,
            "heartbeat_timeout": heartbeat_timeout,
        }
        return await self.run_call(calls.start_run(self._project, run, told, None))

    async def finish_run(
        self, run: str, state: RunState | str, *, error: str = "", end_time: datetime | None = None
    ) -> Run:
        """Finish a run, also a lost one, as `succeeded` or `failed`; RunNotFound, RunFinished.

        `end_time` is when the program ended it, if that was earlier.
        """
        return await self.run_call(calls.finish_run(self._project, run, state, error, end_time))

    async def heartbeat_run(self, run: str) -> Heartbeat:
        """Report that the run's program is alive, which also resumes a lost run; RunNotFound."""
        return await self.run_call(calls.heartbeat_run(self._project, run))

    async def report_recording_problems(self, run: str, problems: Sequence[RecordingProblem]) -> Run:
        """Add 1 to 1000 problems to what of a run could not be recorded; RunNotFound."""
        return await self.run_call(calls.report_recording_problems(self._project, run, problems))

    async def get_run(self, run: str, *, at: int | datetime | None = None) -> Run:
        """The run of that id; RunNotFound."""
        return await self.run_call(calls.get_run(self._project, run, at))

    def list_runs(
        self,
        *,
        version: str = "",
        filter: str = "",  # noqa: A002 - the contract's word
        order_by: str = "",
        at: int | datetime | None = None,
    ) -> AsyncIterator[Run]:
        """All runs, or those that made or used a version, of which the filter is true; the last started first."""
        listed = ListOptions(filter, order_by, at=at)
        return self._pages(lambda token: calls.list_runs(self._project, token, listed, version))

    async def start_step(
        self,
        run: str,
        step: str,
        *,
        name: str = "",
        version: str = "",
        parameters: Mapping[str, object] | None = None,
        start_time: datetime | None = None,
    ) -> RunStep:
        """Start a step of a run under an id; `version` is the version in force in it. RunNotFound.

        `start_time` is when the program started it, if that was earlier.
        """
        return await self.run_call(
            calls.start_step(self._project, run, step, name, version, parameters or {}, start_time)
        )

    async def finish_step(
        self, run: str, step: str, state: RunState | str, *, error: str = "", end_time: datetime | None = None
    ) -> RunStep:
        """Finish a step as `succeeded` or `failed`; StepNotFound, StepFinished.

        `end_time` is when the program ended it, if that was earlier.
        """
        return await self.run_call(calls.finish_step(self._project, run, step, state, error, end_time))

    def list_steps(self, run: str, *, at: int | datetime | None = None) -> AsyncIterator[RunStep]:
        """The steps of a run in the order in which they were started; RunNotFound."""
        return self._pages(lambda token: calls.list_steps(self._project, run, token, at))

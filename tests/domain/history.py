"""What has happened in a project, and the state that storage loads of it: read off the images of the events alone.

It is the second reading of the log beside that of an engine. A test of the storage contract compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from tallymark_server.domain.commands import Erasing, Keys
from tallymark_server.domain.erasure import Eraser, subject_of
from tallymark_server.domain.errors import RegistryError
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import (
    EXCLUSIVE_STAGES,
    Artifact,
    Holders,
    Model,
    ModelVersion,
    Project,
    Resource,
    Run,
    RunStep,
    VersionUse,
)
from tallymark_server.domain.reference import By, Reference
from tallymark_server.domain.state import Prospect, Receipt, State, Subject

PROJECT, LOG_ID, DIGEST = "default", "log", "digest"
# When the first event of a history happened; each one later takes a second.
BEGIN, SECOND = 1_000_000_000, 1_000_000

T = TypeVar("T", bound=Resource)


class History:
    """Every event of a project, and the newest image of each resource. Nothing is left of what was purged."""

    def __init__(self, project: str = PROJECT, *, exists: bool = True) -> None:
        self.project = project
        self.exists = exists
        self.events: list[Event] = []
        self.receipts: dict[str, Receipt] = {}
        # Since when as many answers without effect are remembered as may be.
        self.full_since: int | None = None
        self.models: dict[int, Model] = {}
        self.last_numbers: dict[int, int] = {}
        self.old_names: dict[str, int] = {}
        self.versions: dict[tuple[int, int], ModelVersion] = {}
        self.runs: dict[str, Run] = {}
        self.steps: dict[tuple[str, str], RunStep] = {}
        self.used: set[tuple[str, int, int]] = set()
        self.artifacts: dict[tuple[int, int, str, int], Artifact] = {}

    @property
    def revision(self) -> int:
        return len(self.events)

    @property
    def time(self) -> int:
        return self.events[-1].time if self.events else 0

    def copy(self) -> History:
        """The same history, which goes on by itself."""
        other = History(self.project, exists=self.exists)
        other.add(self.events)
        other.receipts, other.full_since = dict(self.receipts), self.full_since
        return other

    def add(self, events: Iterable[Event]) -> None:
        """Keep what has happened next."""
        for event in events:
            assert event.revision == self.revision + 1, "revisions have no gaps"
            self.events.append(event)
            self.exists = True
            self._keep(event)

    def _keep(self, event: Event) -> None:
        match event.image:
            case Model() as model:
                self.models[model.id] = model
                self.last_numbers.setdefault(model.id, 0)
                if event.kind is Kind.MODEL_RENAMED:
                    self.old_names[event.previous_name] = model.id
                if event.kind is Kind.MODEL_PURGED:
                    self._forget(model.id)
            case ModelVersion() as version:
                self.versions[version.model_id, version.number] = version
                self.last_numbers[version.model_id] = max(self.last_numbers[version.model_id], version.number)
                if version.purged:
                    self._forget(version.model_id, version.number)
            case Run() as run:
                self.runs[run.id] = run
            case RunStep() as step:
                self.steps[step.run, step.id] = step
            case VersionUse() as use:
                self.used.add((use.run, use.model_id, use.number))
            case Artifact() as artifact:
                self.artifacts[artifact.model_id, artifact.number, artifact.name, artifact.ordinal] = artifact
            case _:
                pass

    def _forget(self, model: int, number: int | None = None) -> None:
        """Leave nothing of the versions of the model; of one version, the number and the name stay."""
        if number is None:
            self.versions = {key: each for key, each in self.versions.items() if key[0] != model}
        self.artifacts = {key: each for key, each in self.artifacts.items() if not _is_of(key[:2], model, number)}
        self.used = {key for key in self.used if not _is_of(key[1:], model, number)}

    # The newest image of each resource, by the names of now.

    def model(self, name: str) -> Model | None:
        """The model of that name, also a deleted or purged one."""
        for model in self.models.values():
            if model.name == name:
                return replace(model, last_number=self.last_numbers[model.id])
        return None

    def renamed(self, old_name: str) -> str | None:
        """What the model is called that had that name before."""
        model = self.old_names.get(old_name)
        return None if model is None else self.models[model].name

    def versions_of(self, model: str) -> list[ModelVersion]:
        """Its versions by their numbers, also deleted and purged ones."""
        known = self.model(model)
        found = [self._by_name(each) for each in self.versions.values() if known and each.model_id == known.id]
        return sorted(found, key=lambda version: version.number)

    def version(self, model: str, number: int) -> ModelVersion | None:
        return next((each for each in self.versions_of(model) if each.number == number), None)

    def pointed(self, model: str, reference: Reference) -> ModelVersion | None:
        """The version that the reference means, as the images of the model's versions say."""
        return next((each for each in reversed(self.versions_of(model)) if _is_meant(each, reference)), None)

    def run(self, run: str) -> Run | None:
        return self._by_name(self.runs[run]) if run in self.runs else None

    def step(self, run: str, step: str) -> RunStep | None:
        return self._by_name(self.steps[run, step]) if (run, step) in self.steps else None

    def links(self, version: ModelVersion, name: str) -> tuple[Artifact, ...]:
        """The artifacts of that name, unlinked ones too, by their ordinals."""
        place = (version.model_id, version.number, name)
        return tuple(self._by_name(self.artifacts[key]) for key in sorted(self.artifacts) if key[:3] == place)

    def holders(self, model: str) -> Holders:
        there = [each for each in self.versions_of(model) if each.delete_time is None]
        held = {each.stage.value: each.number for each in there if each.stage in EXCLUSIVE_STAGES}
        aliases = {alias: each.number for each in there for alias in each.aliases}
        latest = max((each.number for each in there), default=0)
        return Holders(latest=latest, aliases=dict(sorted(aliases.items())), **held)

    def _by_name(self, image: T) -> T:
        """The image by the name that its model has now."""
        if isinstance(image, Model | Project) or not image.model:
            return image
        return replace(image, model=self.models[image.model_id].name)

    # What storage gives the domain.

    async def load(self, project: str, keys: Keys, *, most: int | None = None) -> State:
        """The state that the keys ask for, as the storage contract promises it."""
        state = State(project, LOG_ID, self.revision, self.time, max(self.models, default=0), is_new=not self.exists)
        state.full_since = self.full_since
        state.receipts = {request_id: self.receipts.get(request_id) for request_id in keys.receipts}
        if not self.exists:
            return state
        for name in keys.models:
            self._load_model(state, name)
        for model, reference in keys.versions:
            self._load_pointer(state, model, reference)
        for run, model in keys.automatic:
            made = [each for each in self.versions_of(model) if each.automatic and each.run == run]
            self._take_in(state, *made)
            state.automatic[run, model] = made[0].number if made else None
        for name in keys.runs:
            state.runs[name] = found = self.run(name)
            if found is not None and found.model is not None:
                self._take_in(state, self.version(found.model, found.number))
        for run in keys.made:
            made = [self._by_name(each) for each in self.versions.values() if each.run == run and not each.purged]
            self._take_in(state, *made)
            state.made[run] = {(each.model, each.number) for each in made}
        for run, model in keys.uses:
            of_model = {place for place in self.used if self.models[place[1]].name == model}
            state.uses[run, model] = {number for user, _, number in of_model if user == run}
        for run, step in keys.steps:
            state.steps[run, step] = self.step(run, step)
        for model, reference, name in keys.artifacts:
            if (version := self.pointed(model, reference)) is not None:
                state.artifacts[model, version.number, name] = self.links(version, name)
                place = (version.model_id, version.number)
                state.linked[model, version.number] = sum(key[:2] == place for key in self.artifacts)
        state.holders.update({model: self.holders(model) for model in keys.holders})
        if keys.erasing is not None:
            self._look_for(state, keys.erasing)
        return state

    def _look_for(self, state: State, what: Erasing) -> None:
        """What erasing would come to. Where it is of nothing that is known, that is for the domain to refuse."""
        try:
            subject = subject_of(state, what)
        except RegistryError:
            return
        eraser = Eraser(subject, what, self.revision + 1)
        found = [event for event in self.events if _is_about(event, subject) and eraser.rewritten(event) != event]
        by_path = tuple(eraser.by_path)
        state.prospect = Prospect(subject=subject, contents=len(found), by_path=by_path, digest=DIGEST)

    def _load_model(self, state: State, name: str) -> None:
        state.models[name] = model = self.model(name)
        if model is not None:
            state.last_numbers[name] = model.last_number
        elif (now := self.renamed(name)) is not None:
            state.renamed[name] = now

    def _load_pointer(self, state: State, model: str, reference: Reference) -> None:
        version = self.pointed(model, reference)
        self._take_in(state, version)
        if reference.by is By.NUMBER:
            state.versions.setdefault((model, int(reference.value)))
        else:
            state.pointers[model, reference] = None if version is None else version.number

    def _take_in(self, state: State, *versions: ModelVersion | None) -> None:
        state.versions.update({(each.model, each.number): each for each in versions if each is not None})

    async def append(self, state: State, events: Sequence[Event], receipts: Sequence[tuple[str, Receipt]]) -> None:
        """Keep what a batch decided."""
        self.add(events)
        self.receipts.update(receipts)


def _is_meant(version: ModelVersion, reference: Reference) -> bool:
    match reference.by:
        case By.NUMBER:
            return version.number == reference.value
        case By.NAME:
            return version.name == reference.value
        case By.STAGE:
            return version.stage in EXCLUSIVE_STAGES and version.stage == reference.value
        case By.ALIAS:
            return reference.value in version.aliases
        case By.LATEST:
            return version.delete_time is None


def _is_about(event: Event, subject: Subject) -> bool:
    match event.image:
        case Run() | RunStep() as image:
            return subject.run in (image.id, getattr(image, "run", None)) or subject == Subject()
        case Model() as image:
            return subject == Subject() or (subject.model_id == image.id and not subject.number)
        case image:
            place = getattr(image, "model_id", 0), getattr(image, "number", 0)
            return subject == Subject() or (subject.run is None and place == (subject.model_id, subject.number))


def _is_of(place: tuple[Any, ...], model: int, number: int | None) -> bool:
    return place[0] == model and number in (None, place[1])

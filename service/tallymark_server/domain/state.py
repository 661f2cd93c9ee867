"""The part of one project that a batch of commands touches, and how events change it."""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace

from tallymark_server.domain.errors import (
    AliasNotFound,
    ModelDeleted,
    ModelNotFound,
    Overloaded,
    RegistryError,
    StageEmpty,
    VersionDeleted,
    VersionNotFound,
)
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import (
    EXCLUSIVE_STAGES,
    Artifact,
    Erasure,
    Holders,
    MetricChange,
    Model,
    ModelVersion,
    Project,
    Resource,
    Run,
    RunStep,
    Stage,
    VersionUse,
)
from tallymark_server.domain.reference import LATEST, By, Reference, aliased, in_stage, named

# For how many microseconds receipts without events are kept: at least (when there are very many), and at most.
REMEMBERED_AT_LEAST, REMEMBERED_AT_MOST = 600 * 1_000_000, 86_400 * 1_000_000


class Receipt(Struct, frozen=True, kw_only=True):
    """The answer to a request_id, and its time: the events that it caused, none if it changed nothing.

    `images` are the resources in the answer as they were then; they may leave out resources of its events.
    `holders` are those of the model in the answer, None if the answer is no model.
    `revision` is that at which an answer without events was decided: later commands of its batch may change more.
    """

    fingerprint: bytes
    time: int
    revision: int = 0
    events: tuple[Event, ...] = ()
    images: tuple[Resource, ...] = ()
    holders: Holders | None = None
    refusal: RegistryError | None = None


class Subject(Struct, frozen=True, kw_only=True):
    """The resource whose content is erased. `name` is its current name, which stays. `purged`: only the log has it."""

    run: str | None = None
    model_id: int = 0
    model: str | None = None
    number: int = 0
    name: str | None = None
    purged: bool = False


class Prospect(Struct, frozen=True, kw_only=True):
    """What erasing would change: the resource, the number of events, in all and for each path, and their digest.

    `digest` covers the revisions and the digests of the remaining contents.
    """

    subject: Subject
    contents: int
    by_path: tuple[int, ...] = field(default=())
    digest: str = ""


class State(Struct):
    """The part of a project's state that was loaded for a batch of commands.

    A key with None is known to be missing; an absent key was not loaded, and looking it up is a defect. `is_new` says
    that the project does not exist yet. `full_since` is the time of the oldest receipt without events, None unless
    there are as many of those as are kept at most.
    """

    project: str
    log_id: str
    revision: int
    time: int
    last_model_id: int
    is_new: bool = False
    full_since: int | None = None
    models: dict[str, Model | None] = field(default_factory=dict)
    last_numbers: dict[str, int] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    versions: dict[tuple[str, int], ModelVersion | None] = field(default_factory=dict)
    pointers: dict[tuple[str, Reference], int | None] = field(default_factory=dict)
    automatic: dict[tuple[str, str], int | None] = field(default_factory=dict)
    runs: dict[str, Run | None] = field(default_factory=dict)
    made: dict[str, set[tuple[str, int]]] = field(default_factory=dict)
    uses: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    steps: dict[tuple[str, str], RunStep | None] = field(default_factory=dict)
    artifacts: dict[tuple[str, int, str], tuple[Artifact, ...]] = field(default_factory=dict)
    # The number of links of a version, including unlinked ones.
    linked: dict[tuple[str, int], int] = field(default_factory=dict)
    receipts: dict[str, Receipt | None] = field(default_factory=dict)
    # The receipts since the state was loaded, by request_id.
    answered: list[tuple[str, Receipt]] = field(default_factory=list)
    holders: dict[str, Holders] = field(default_factory=dict)
    prospect: Prospect | None = None

    def model(self, name: str) -> Model:
        """Return the model of that name. Raises ModelNotFound or ModelDeleted."""
        model = self.any_model(name)
        if model.delete_time is not None:
            raise ModelDeleted(self.project, name)
        return model

    def any_model(self, name: str) -> Model:
        """Return the model of that name, deleted or not. Raises ModelNotFound."""
        model = self.models[name]
        if model is None or model.purged:
            raise ModelNotFound(self.project, name, self.renamed.get(name))
        last = self.last_numbers[name]
        return model if model.last_number == last else replace(model, last_number=last)

    def find(self, model: str, reference: Reference) -> ModelVersion | None:
        """Return the version that the reference means, None if there is none."""
        if reference.by is By.NUMBER:
            return self.versions[(model, int(reference.value))]
        number = self.pointers[(model, reference)]
        return None if number is None else self.versions[(model, number)]

    def version(self, model: str, reference: Reference) -> ModelVersion:
        """Return the version that the reference means. Raises VersionDeleted, or the error that it does not exist."""
        version = self.any_version(model, reference)
        if version.delete_time is not None:
            raise VersionDeleted(self.project, model, version.number)
        return version

    def any_version(self, model: str, reference: Reference) -> ModelVersion:
        """Return the version that the reference means, deleted or not. Raises the error that it does not exist."""
        self.model(model)
        version = self.find(model, reference)
        if version is None or version.purged:
            raise missing(self.project, model, reference)
        return version

    def receipt(self, request_id: str, now: int) -> Receipt | None:
        """Return the receipt of the request_id, None if there is none or it has expired."""
        receipt = self.receipts[request_id]
        if receipt is None or receipt.events or now - receipt.time <= REMEMBERED_AT_MOST:
            return receipt
        return None

    def remember(self, request_id: str, receipt: Receipt) -> None:
        """Keep a receipt of the request_id. Raises Overloaded if no more receipts without events can be kept."""
        full_since = None if receipt.events else self.full_since
        if full_since is not None and receipt.time - full_since < REMEMBERED_AT_LEAST:
            raise Overloaded.of_answers()
        self.receipts[request_id] = receipt
        self.answered.append((request_id, receipt))

    def evolve(self, event: Event) -> None:
        """Apply an event to the state."""
        self.revision, self.time = event.revision, event.time
        match event.image:
            # First, since most events are about versions.
            case ModelVersion() as version:
                self.versions[(version.model, version.number)] = version
                self._move_pointers(event, version)
                if version.model in self.holders:
                    self.holders[version.model] = _moved(self.holders[version.model], event, version)
            case Model() as model:
                self.last_model_id = max(self.last_model_id, model.id)
                self.models[model.name] = model
                self.last_numbers.setdefault(model.name, model.last_number)
            case Run() as run:
                self.runs[run.id] = run
            case RunStep() as step:
                self.steps[(step.run, step.id)] = step
            case VersionUse() as use:
                self.uses.setdefault((use.run, use.model), set()).add(use.number)
            case Artifact() as artifact:
                self._keep(artifact)
            case Project():
                self.is_new = False
            case MetricChange() | Erasure():
                pass

    def links(self, version: ModelVersion, name: str) -> tuple[Artifact, ...]:
        """Return the artifacts of that name of the version, including unlinked ones, by ordinal."""
        return self.artifacts[(version.model, version.number, name)]

    def _keep(self, artifact: Artifact) -> None:
        key = (artifact.model, artifact.number, artifact.name)
        others = [known for known in self.artifacts.get(key, ()) if known.ordinal != artifact.ordinal]
        self.artifacts[key] = tuple(sorted((*others, artifact), key=lambda link: link.ordinal))
        place = (artifact.model, artifact.number)
        if place in self.linked and artifact.create_revision == artifact.mod_revision:
            self.linked[place] += 1

    def _move_pointers(self, event: Event, version: ModelVersion) -> None:
        model, number = version.model, version.number
        match event.kind:
            case Kind.VERSION_CREATED:
                if version.run is not None and version.run in self.made:
                    self.made[version.run].add((model, number))
                self.last_numbers[model] = number
                self.pointers[(model, LATEST)] = number
                if version.name is not None:
                    self.pointers[(model, named(version.name))] = number
                if version.automatic and version.run is not None:
                    self.automatic[(version.run, model)] = number
            case Kind.STAGE_CHANGED:
                left = in_stage(event.previous_stage or Stage.NONE)
                if self.pointers.get((model, left)) == number:
                    self.pointers[(model, left)] = None
                if version.stage in EXCLUSIVE_STAGES:
                    self.pointers[(model, in_stage(version.stage))] = number
            case Kind.VERSION_RENAMED:
                self.pointers[(model, named(event.previous_name))] = None
                if version.name is not None:
                    self.pointers[(model, named(version.name))] = number
            case Kind.ALIAS_SET:
                self.pointers[(model, aliased(event.alias))] = number
            case Kind.ALIAS_DELETED:
                self.pointers[(model, aliased(event.alias))] = None
            case _:
                pass


def _moved(holders: Holders, event: Event, version: ModelVersion) -> Holders:
    """Return the model's holders after the event. The state is reloaded after deletions."""
    number = version.number
    match event.kind:
        case Kind.VERSION_CREATED:
            return replace(holders, latest=number)
        case Kind.STAGE_CHANGED:
            before, after = event.previous_stage, version.stage
            changed = {stage.value: number if stage is after else 0 for stage in EXCLUSIVE_STAGES & {before, after}}
            return replace(holders, **changed)
        case Kind.ALIAS_SET:
            # In the order in which storage returns them.
            return replace(holders, aliases=dict(sorted({**holders.aliases, event.alias: number}.items())))
        case Kind.ALIAS_DELETED:
            left = {alias: held for alias, held in holders.aliases.items() if alias != event.alias}
            return replace(holders, aliases=left)
        case _:
            return holders


def missing(project: str, model: str, reference: Reference) -> RegistryError:
    """Return the error that the version does not exist."""
    match reference.by:
        case By.STAGE:
            return StageEmpty(project, model, str(reference.value))
        case By.ALIAS:
            return AliasNotFound(project, model, str(reference.value))
        case _:
            return VersionNotFound(project, model, str(reference))

"""The rules for erasing content: what can be erased, and how every event of the log is rewritten.

Values become `[erased]`; keys, names and actors get names from the erasing event. What identifies
a resource is never erased: numbers, stages, ids, and current names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from tallymark_server.domain import commands as c
from tallymark_server.domain.errors import ModelNotFound, NothingToErase, RunNotFound
from tallymark_server.domain.event_recorder import EventRecorder
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import (
    Artifact,
    Erasure,
    MetricChange,
    Model,
    ModelCard,
    ModelVersion,
    RecordingProblem,
    Resource,
    Run,
    RunStep,
    Value,
)
from tallymark_server.domain.reference import By
from tallymark_server.domain.state import State, Subject, missing

ERASED = "[erased]"
T = TypeVar("T")
_Facts = Mapping[str, Value]
_CARD = tuple(name for name in ModelCard.__struct_fields__ if name not in ("tags", "metadata"))
_TEXTS = ("command", "error", "host", "user", "url", "commit")
# What can be erased of each resource, and whether a key must, may or cannot follow.
MUST, MAY, CANNOT = "must", "may", "cannot"
OF_PROJECTS = {"actors": MUST}
OF_MODELS = {
    **dict.fromkeys(_CARD, CANNOT), "tags": MAY, "metadata": MAY, "reasons": CANNOT, "previous_names": CANNOT
}  # fmt: skip
OF_VERSIONS = {
    "description": CANNOT, "tags": MAY, "metadata": MAY, "artifacts": MUST, "reasons": CANNOT, "previous_names": CANNOT
}  # fmt: skip
OF_RUNS = {"parameters": MAY, **dict.fromkeys(_TEXTS, CANNOT), "recording_problems": CANNOT, "reasons": CANNOT}


def subject_of(state: State, what: c.Erasing) -> Subject:
    """Return the resource whose content is to be erased, deleted or not. Raises the error that it does not exist."""
    if what.run is not None:
        run = state.runs[what.run]
        if run is None:
            raise RunNotFound(state.project, what.run)
        return Subject(run=run.id, model_id=run.model_id, model=run.model, number=run.number)
    if what.model is None:
        return Subject()
    model = state.models[what.model]
    if model is None:
        raise ModelNotFound(state.project, what.model, state.renamed.get(what.model))
    if what.reference is None:
        return Subject(model_id=model.id, model=model.name, name=model.name, purged=model.purged)
    version = state.find(what.model, what.reference)
    if version is not None:
        number, name, purged = version.number, version.name, version.purged or model.purged
    elif what.reference.by is By.NUMBER and 1 <= int(what.reference.value) <= state.last_numbers[what.model]:
        # It was purged with its model, whose name may belong to another model since.
        number, name, purged = int(what.reference.value), None, True
    else:
        raise missing(state.project, what.model, what.reference)
    return Subject(model_id=model.id, model=model.name, number=number, name=name, purged=purged)


def erase(state: State, command: c.Erase, recorder: EventRecorder) -> Erasure:
    """Return what is erased. Raises NothingToErase if any path leads to nothing; then nothing is erased."""
    subject_of(state, command.what)
    prospect = state.prospect
    assert prospect is not None, "what is to be erased was looked for"  # noqa: S101
    for place, contents in enumerate(prospect.by_path):
        if not contents:
            raise NothingToErase(state.project, place)
    erasure = Erasure(
        run=prospect.subject.run,
        model_id=prospect.subject.model_id,
        model=prospect.subject.model,
        number=prospect.subject.number,
        paths=tuple(dict.fromkeys(without_key(path) for path in command.what.paths)),
        contents=prospect.contents,
        digest=prospect.digest,
        mod_revision=recorder.revision,
    )
    recorder.actor = Eraser(prospect.subject, command.what, recorder.revision).actor(recorder.actor)
    recorder.record(Kind.ERASED, erasure, reason=command.reason)
    return erasure


def without_key(path: str) -> str:
    """Return the path without its key or name, which may be a secret."""
    head, dot, _ = path.partition(".")
    return f"{head}.*" if dot else head


class Eraser:
    """Rewrites events for the erasing event of a revision. `by_path` counts the events that each path has changed."""

    def __init__(self, subject: Subject, what: c.Erasing, revision: int) -> None:
        self._subject = subject
        self._what = what
        self._revision = revision
        self.by_path = [0] * len(what.paths)

    def rewritten(self, event: Event) -> Event:
        """Return the event without the erased content, or the event itself if it has none."""
        for place, path in enumerate(self._what.paths):
            head, _, key = path.partition(".")
            after = self._without(event, head, key, place)
            self.by_path[place] += after != event
            event = after
        return event

    def actor(self, name: str) -> str:
        """Return the actor, or its replacement if it is erased."""
        for place, path in enumerate(self._what.paths):
            if path == f"actors.{name}":
                return self._label(place)
        return name

    def _label(self, place: int) -> str:
        """Return the replacement for a key or an actor, which is different for each path of a request."""
        return f"erased-{self._revision}" + (f"-{place + 1}" if len(self._what.paths) > 1 else "")

    def _without(self, event: Event, head: str, key: str, place: int) -> Event:
        image = event.image
        if head == "actors":
            return self._without_actor(event, key, place)
        if head == "reasons":
            return replace(event, reason=_text(event.reason)) if self._is_about(image) else event
        if head == "previous_names":
            return self._without_names(event)
        return replace(event, image=self._erased(image, head, key, place))

    def _is_about(self, image: Resource) -> bool:
        """Return whether the event is about the resource itself, and does not only have its number."""
        match image:
            case Erasure():
                return (image.run, image.model_id, image.number) == (
                    self._subject.run, self._subject.model_id, self._subject.number
                )  # fmt: skip
            case Run() | RunStep():
                return self._subject.run is not None
            case _:
                return self._subject.run is None

    def _without_actor(self, event: Event, name: str, place: int) -> Event:
        if event.actor == name:
            event = replace(event, actor=self._label(place))
        if getattr(event.image, "creator", None) == name:
            event = replace(event, image=replace(event.image, creator=self._label(place)))
        return event

    def _without_names(self, event: Event) -> Event:
        """Return the event without former names of the model or version. Replacements have a colon, as no name has."""
        image, own = event.image, self._subject.name
        if not isinstance(image, Model | ModelVersion):
            return event
        new = f"erased:{image.number if isinstance(image, ModelVersion) else image.id}"
        if image.name not in (own, None, new):
            event = replace(event, image=replace(image, name=new))
        if event.previous_name not in ("", own, str(self._subject.number), new):
            event = replace(event, previous_name=new)
        return event

    def _erased(self, image: Resource, head: str, key: str, place: int) -> Resource:
        label = self._label(place) if self._what.keys and key else ""
        match image:
            case Model():
                return replace(image, card=_in_fields(image.card, head, key, label))
            case ModelVersion():
                image = _in_fields(image, head, key, label)
                if head == "metadata":
                    series = {name: step for name, step in image.series.items() if key not in ("", name)}
                    image = replace(image, series=series)
                return image
            case MetricChange() if head == "metadata":
                points = tuple(point for point in image.points if key not in ("", point.key))
                ended = tuple(label if label and name == key else name for name in image.deleted_keys)
                return replace(image, points=points, deleted_keys=ended)
            case Artifact() if head == "artifacts" and key == image.name:
                return replace(image, uri=f"erased:{self._revision}") if not image.uri.startswith("erased:") else image
            case Run() if head == "recording_problems":
                problems = (RecordingProblem(ERASED, ERASED, known.count) for known in image.recording_problems)
                return replace(image, recording_problems=tuple(problems))
            case Run() | RunStep():
                return _in_fields(image, head, key, label)
            case _:
                return image


def _in_fields(thing: T, head: str, key: str, label: str) -> T:
    """Return the resource with the field of that name erased, or the resource itself if it has no such field."""
    value: Any = getattr(thing, head, None)
    match value:
        case str():
            changed: Any = _text(value)
        case tuple():
            changed = tuple(sorted({ERASED if key in ("", tag) else tag for tag in value}))
        case dict():
            changed = _facts(value, key, label)
        case _:
            return thing
    struct: Any = thing
    return cast("T", replace(struct, **{head: changed}))


def _text(value: str) -> str:
    return ERASED if value else value


def _facts(facts: _Facts, key: str, label: str) -> dict[str, Value]:
    """Return the facts without the value at the key (without a key, all). Dots are part of a key or lead into a map."""
    if not key:
        return dict.fromkeys(facts, ERASED)
    found: dict[str, Value] = {}
    for name, value in facts.items():
        if name == key:
            found[label or name] = ERASED
        elif isinstance(value, dict) and key.startswith(f"{name}."):
            found[name] = _facts(value, key[len(name) + 1 :], label)
        else:
            found[name] = value
    return found

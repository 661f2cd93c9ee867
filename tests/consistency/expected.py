"""The exported log, and the expected state as of each revision."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

PROJECT = "projects/default"
Image = dict[str, Any]
Event = dict[str, Any]
RUN_STATES = {"": 0, "running": 1, "succeeded": 2, "failed": 3, "lost": 4}
STAGES = {"none": 1, "staging": 2, "production": 3, "archived": 4}
# By the prefix of an event's kind, the type of the resource in its image.
_RESOURCES = {
    "model_": "model",
    "run_": "run",
    "recording_": "run",
    "step_": "step",
    "artifact_": "artifact",
    "metrics_": "metrics",
    "version_used": "use",
    "project_": "project",
}


def resource_type(kind: str) -> str:
    """Return the type of the resource in the image of an event."""
    return next((owner for begin, owner in _RESOURCES.items() if kind.startswith(begin)), "version")


class Log:
    """The events of a project, and the revisions of each request_id."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self.events: list[Event] = []
        self.receipts: dict[str, tuple[int, int]] = {}
        self.images: dict[tuple[Any, ...], list[tuple[int, Image]]] = defaultdict(list)
        for line in lines:
            record = json.loads(line)
            if "kind" in record:
                self._add(record)
            elif "request_id" in record:
                self.receipts[record["request_id"]] = (record["first_revision"], record["last_revision"])

    @property
    def head(self) -> int:
        return len(self.events)

    def _add(self, event: Event) -> None:
        self.events.append(event)
        image, place = event["image"], (event["model"], event["number"])
        keys: dict[str, tuple[Any, ...]] = {
            "model": ("model", event["model"]),
            "version": ("version", *place),
            "run": ("run", image.get("id")),
            "step": ("step", image.get("run"), image.get("id")),
            "artifact": ("artifact", *place, image.get("name"), image.get("ordinal")),
        }
        key = keys.get(resource_type(event["kind"]))
        if key is not None:
            self.images[key].append((event["revision"], image))


class Past:
    """The project as of a revision."""

    def __init__(self, log: Log, at: int) -> None:
        self.log = log
        self.at = at

    def image(self, *key: Any) -> Image | None:
        """Return the newest image of the resource with that key."""
        known = self.log.images.get(key, [])
        place = bisect_right(known, self.at, key=lambda each: each[0])
        return known[place - 1][1] if place else None

    def all(self, kind: str, *begin: Any) -> list[tuple[tuple[Any, ...], Image]]:
        """Return the keys and images of all resources of a type, in the order of keys."""
        keys = [key for key in self.log.images if key[: 1 + len(begin)] == (kind, *begin)]
        found = [(key, image) for key in keys if (image := self.image(*key)) is not None]
        return sorted(found, key=lambda each: each[0][1:])

    def model(self, name: str) -> Image | None:
        """Return the model of that name, also a deleted one, but no purged one."""
        for _, image in self.all("model"):
            if image["name"] == name and not image.get("purged"):
                return image
        return None

    def model_name(self, model_id: int) -> str:
        image = self.image("model", model_id)
        return "" if image is None else str(image["name"])

    def versions(self, model: Image) -> dict[int, Image]:
        """Return the versions of the model by number, with deleted and without purged ones."""
        return {
            image["number"]: image
            for _, image in self.all("version", model["id"])
            if image["create_revision"] > model["create_revision"] and not image.get("purged")
        }

    def version(self, name: str, reference: str, *, of_deleted: bool = False) -> Image | None:
        """Return the version that the reference resolves to."""
        model = self.model(name)
        if model is None or ("delete_time" in model and not of_deleted):
            return None
        versions = self.versions(model)
        there = [image for image in versions.values() if "delete_time" not in image]
        if reference.isdecimal():
            return versions.get(int(reference))
        if reference == "latest":
            return there[-1] if there else None
        if reference in ("@production", "@staging"):
            return next((image for image in there if image.get("stage") == reference[1:]), None)
        if reference.startswith("@"):
            return next((image for image in there if reference[1:] in image.get("aliases", ())), None)
        return next((image for image in versions.values() if image.get("name") == reference[1:]), None)

    def holders(self, model: Image) -> tuple[int, int, int, dict[str, int]]:
        """Return the numbers of the latest version, of those in production and in staging, and those by alias."""
        there = [image for image in self.versions(model).values() if "delete_time" not in image]
        stages = {image.get("stage"): image["number"] for image in there}
        aliases = {alias: image["number"] for image in there for alias in image.get("aliases", ())}
        latest = there[-1]["number"] if there else 0
        return latest, stages.get("production", 0), stages.get("staging", 0), aliases

    def last_number(self, model_id: int) -> int:
        """Return the highest number of any version of the model."""
        images = self.log.images
        numbers = [key[2] for key in images if key[:2] == ("version", model_id) and images[key][0][0] <= self.at]
        return max(numbers, default=0)

    def links(self, version: Image, name: str = "") -> list[Image]:
        """Return the artifacts that are linked to the version, or those of that name, in the order of linking."""
        found = [image for _, image in self.all("artifact", version["model_id"], version["number"])]
        there = [image for image in found if not image.get("unlinked") and name in ("", image["name"])]
        return sorted(there, key=lambda image: image["create_revision"])

    def points(self, version: Image) -> dict[tuple[str, int], float]:
        """Return the points of the version's metrics by key and step."""
        found: dict[tuple[str, int], float] = {}
        for event in self.log.events[: self.at]:
            place = event["model"], event["number"]
            if event["kind"] == "metrics_logged" and place == (version["model_id"], version["number"]):
                ended = event["image"].get("deleted_keys", ())
                found = {key: value for key, value in found.items() if key[0] not in ended}
                found |= {(key, step): value for key, step, value, _ in event["image"].get("points", ())}
        return dict(sorted(found.items()))

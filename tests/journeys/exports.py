"""What two exports have in common if the same was recorded: everything but when and in which pieces it arrived."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

# What an event and an image say of their arrival, of the clock, and of their place in the log.
ARRIVAL = {"revision", "time", "salt", "hash", "create_time", "update_time", "start_time", "end_time",
           "create_revision", "mod_revision"}  # fmt: skip
Streams = dict[tuple[object, ...], list[Any]]


def recorded(export: Iterable[str], store: str = "") -> Streams:
    """Return what an export of a project tells, as the series of each thing that was recorded, in order.

    A series is that of a metric, a fact, the steps of a run, …, and one is the order of everything but points: a record
    that is lost, doubled, changed or in another place makes it another. Points arrive in groups of any size, so groups
    are taken apart. Steps, whose ids are drawn, are numbered in the order of their starts.
    """
    lines = [json.loads(line) for line in export]
    streams: Streams = defaultdict(list)
    steps: dict[str, str] = {}
    facts: dict[tuple[object, ...], dict[str, Any]] = defaultdict(dict)
    measured = _revisions_of_points(lines)
    for event in (line for line in lines if "kind" in line):
        image, about = event["image"], (event["model"], event["number"])
        match event["kind"]:
            case "metrics_logged":
                for key, place, value, _ in image["points"]:
                    streams["points", *about, key].append((place, value))
            case "metadata_logged":
                known, series = facts[about], image.get("series", {})
                new = {key: value for key, value in image["metadata"].items() if key not in series}
                for key in sorted(known.keys() | new.keys()):
                    if known.get(key) != new.get(key):
                        streams["metadata", *about, key].append(new.get(key))
                        streams["order",].append(f"metadata {key}")
                if known == new and event["revision"] not in measured:
                    streams["metadata", *about].append("written again, unchanged")
                facts[about] = new
            case kind:
                if kind == "step_started":
                    steps[image["id"]] = f"{image['name']} {len(steps)}"
                streams[kind.partition("_")[0], *about].append(_plain(event, steps, store))
                streams["order",].append(kind)
    return dict(streams)


def differences(found: Streams, expected: Streams) -> list[str]:
    """Return where the series of two exports begin to differ; nothing if they tell the same."""
    differing = []
    for what in sorted(found.keys() | expected.keys(), key=str):
        pairs = list(zip_longest(found.get(what, []), expected.get(what, [])))
        places = [place for place, (one, other) in enumerate(pairs) if one != other]
        if places:
            one, other = pairs[places[0]]
            differing.append(f"{what}: {len(places)} differ, the first is number {places[0]}: {one}, and not {other}")
    return differing


def _revisions_of_points(lines: list[dict[str, Any]]) -> set[int]:
    """Return the revisions of all events of requests that logged points: these also write the newest values."""
    points = {line["revision"] for line in lines if line.get("kind") == "metrics_logged"}
    requests = [line for line in lines if "request_id" in line]
    spans = [range(request["first_revision"], request["last_revision"] + 1) for request in requests]
    return {revision for span in spans if points & set(span) for revision in span}


def _plain(value: Any, steps: dict[str, str], store: str) -> Any:
    """Return an event or an image without its arrival, and with what is drawn at random replaced by what it means."""
    if isinstance(value, dict):
        return {
            name: _plain(each, steps, store)
            for name, each in value.items()
            if name not in ARRIVAL and not _metrics(name)
        }
    if isinstance(value, list):
        return [_plain(each, steps, store) for each in value]
    if isinstance(value, str):
        value = steps.get(value, value)
        return value.replace(store, "STORE") if store else value
    return value


def _metrics(name: str) -> bool:
    """Whether the field of an image of a version has been compared as series already."""
    return name in {"metadata", "series"}

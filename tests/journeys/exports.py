"""A comparison of exports that ignores when, and in which groups, records arrived."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

# Fields of events and images that depend on the time of arrival, the clock and the place in the log.
ARRIVAL_FIELDS = {"revision", "time", "salt", "hash", "create_time", "update_time", "start_time", "end_time",
           "create_revision", "mod_revision"}  # fmt: skip
Streams = dict[tuple[object, ...], list[Any]]


def recorded(export: Iterable[str], store: str = "") -> Streams:
    """Return the records of an export by subject: a metric, a fact, the steps of a run and so on, each in order.

    One more stream has the order of all records except points. A record that is lost, doubled, changed or moved changes
    a stream. Groups of points are split, since they may have any size. Steps, whose ids are random, are numbered in the
    order of their starts.
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
                streams[kind.partition("_")[0], *about].append(_comparable(event, steps, store))
                streams["order",].append(kind)
    return dict(streams)


def differences(found: Streams, expected: Streams) -> list[str]:
    """Return a sentence for each stream in which two exports differ, with the first difference."""
    differing = []
    for what in sorted(found.keys() | expected.keys(), key=str):
        pairs = list(zip_longest(found.get(what, []), expected.get(what, [])))
        places = [place for place, (one, other) in enumerate(pairs) if one != other]
        if places:
            one, other = pairs[places[0]]
            differing.append(f"{what}: {len(places)} differ, the first is number {places[0]}: {one}, and not {other}")
    return differing


def _revisions_of_points(lines: list[dict[str, Any]]) -> set[int]:
    """Return the revisions of all events of requests that logged points, which also write the newest values."""
    points = {line["revision"] for line in lines if line.get("kind") == "metrics_logged"}
    requests = [line for line in lines if "request_id" in line]
    spans = [range(request["first_revision"], request["last_revision"] + 1) for request in requests]
    return {revision for span in spans if points & set(span) for revision in span}


def _comparable(value: Any, steps: dict[str, str], store: str) -> Any:
    """Return an event or an image without its arrival, and with what is drawn at random replaced by what it means."""
    if isinstance(value, dict):
        return {
            name: _comparable(each, steps, store)
            for name, each in value.items()
            if name not in ARRIVAL_FIELDS and not _is_series_field(name)
        }
    if isinstance(value, list):
        return [_comparable(each, steps, store) for each in value]
    if isinstance(value, str):
        value = steps.get(value, value)
        return value.replace(store, "STORE") if store else value
    return value


def _is_series_field(name: str) -> bool:
    """Whether the field of an image of a version has been compared as series already."""
    return name in {"metadata", "series"}

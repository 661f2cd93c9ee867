"""Whether a refusal matches the log as of a revision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from consistency.history import Refusal
from consistency.expected import Image, Past

Possible = Callable[[Past, Any, Refusal], bool]
# Prefixes of requests that find only live resources.
_READS = ("Get", "List", "Query")


def _model(past: Past, refusal: Refusal) -> Image | None:
    return past.model(refusal["model"])


def _version(past: Past, refusal: Refusal, number: str) -> Image | None:
    model = _model(past, refusal)
    return None if model is None else past.versions(model).get(int(number))


def _no_model(past: Past, request: Any, refusal: Refusal) -> bool:
    model = _model(past, refusal)
    reads = type(request).__name__.startswith(_READS)
    return model is None or (reads and "delete_time" in model and not getattr(request, "show_deleted", False))


def _no_version(past: Past, request: Any, refusal: Refusal) -> bool:
    model = _model(past, refusal)
    if model is None:
        return False
    found = past.version(refusal["model"], refusal["version"], of_deleted=True)
    return found is None or "delete_time" in found


def _unresolved(past: Past, refusal: Refusal, reference: str) -> bool:
    return _model(past, refusal) is not None and past.version(refusal["model"], reference, of_deleted=True) is None


def _deleted(image: Image | None) -> bool:
    return image is not None and "delete_time" in image


def _live(image: Image | None) -> bool:
    return image is not None and "delete_time" not in image


def _stale(past: Past, request: Any, refusal: Refusal) -> bool:
    image = _version(past, refusal, refusal["number"]) if refusal["number"] != "0" else _model(past, refusal)
    return image is not None and f"r{image['mod_revision']}" == refusal["etag"]


def _alias_moved(past: Past, request: Any, refusal: Refusal) -> bool:
    found = past.version(refusal["model"], f"@{refusal['alias']}")
    return str(found["number"] if found else 0) == refusal["number"] != str(request.expected_number)


def _stage_moved(past: Past, request: Any, refusal: Refusal) -> bool:
    found = past.version(refusal["model"], f"@{refusal['stage']}")
    return str(found["number"] if found else 0) == refusal["number"] != str(request.expected_number)


def _state(image: Image | None, refusal: Refusal) -> bool:
    return image is not None and image.get("state", "running") == refusal["state"] not in ("running", "lost")


def _no_artifact(past: Past, request: Any, refusal: Refusal) -> bool:
    version = _version(past, refusal, refusal["number"])
    return version is not None and not past.links(version, refusal["artifact"].partition("@")[0])


def _not_succeeded(past: Past, request: Any, refusal: Refusal) -> bool:
    version = _version(past, refusal, refusal["number"])
    return version is not None and version.get("run_state") == refusal["run_state"] != "succeeded"


def _taken(past: Past, request: Any, refusal: Refusal) -> bool:
    model = _model(past, refusal)
    # The name of a purged version stays taken.
    holder = None if model is None else past.image("version", model["id"], int(refusal["number"]))
    return holder is not None and holder.get("name") == refusal["version"]


# By reason, whether a refusal is possible as of a revision. No other reasons can occur here.
POSSIBLE: dict[str, Possible] = {
    "MODEL_NOT_FOUND": _no_model,
    "MODEL_DELETED": lambda past, _, refusal: _deleted(_model(past, refusal)),
    "MODEL_NOT_DELETED": lambda past, _, refusal: _live(_model(past, refusal)),
    "MODEL_EXISTS": lambda past, _, refusal: any(image["name"] == refusal["model"] for _, image in past.all("model")),
    "VERSION_NOT_FOUND": _no_version,
    "VERSION_NAME_TAKEN": _taken,
    "STAGE_EMPTY": lambda past, _, refusal: _unresolved(past, refusal, f"@{refusal['stage']}"),
    "ALIAS_NOT_FOUND": lambda past, _, refusal: _unresolved(past, refusal, f"@{refusal['alias']}"),
    "VERSION_DELETED": lambda past, _, refusal: _deleted(_version(past, refusal, refusal["number"])),
    "VERSION_NOT_DELETED": lambda past, _, refusal: _live(_version(past, refusal, refusal["number"])),
    "VERSION_IN_USE": lambda past, _, refusal: (
        (_version(past, refusal, refusal["number"]) or {}).get("stage") == "production"
    ),
    "STAGE_OCCUPIED": lambda past, _, refusal: (
        (_version(past, refusal, refusal["number"]) or {}).get("stage") == refusal["stage"]
    ),
    "RUN_NOT_SUCCEEDED": _not_succeeded,
    "ETAG_MISMATCH": _stale,
    "ALIAS_MOVED": _alias_moved,
    "STAGE_MOVED": _stage_moved,
    "RUN_NOT_FOUND": lambda past, _, refusal: past.image("run", refusal["run"]) is None,
    "RUN_FINISHED": lambda past, _, refusal: _state(past.image("run", refusal["run"]), refusal),
    "STEP_NOT_FOUND": lambda past, _, refusal: past.image("step", refusal["run"], refusal["step"]) is None,
    "STEP_FINISHED": lambda past, _, refusal: _state(past.image("step", refusal["run"], refusal["step"]), refusal),
    "ARTIFACT_NOT_FOUND": _no_artifact,
    "REVISION_IN_FUTURE": lambda past, _, refusal: past.at == int(refusal["newest"]) < int(refusal["revision"]),
}

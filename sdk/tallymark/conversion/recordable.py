"""What is recorded of the values that a program gives: of metadata, parameters and metrics.

Within a run nothing raises: what cannot be recorded costs itself, and is counted in the run's problems. Elsewhere it
raises InvalidField, with the path of the value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from tallymark.arguments import mapping, number
from tallymark.conversion.arrays import is_array
from tallymark.conversion.convert import Conversion
from tallymark.conversion.problems import RecordingProblems
from tallymark.conversion.secrecy import Secrecy, secrecy_of
from tallymark.conversion.vocabulary import METADATA, PARAMETERS, WHOLE, Loss, Path, described_type, type_name
from tallymark.errors import InvalidArgument, InvalidField
from tallymark.runtime.headroom import HeadRoom
from tallymark.types.resources import MetricPoint, Value

# As the service bounds them: one key, and all metadata of a version or parameters of a run as JSON.
MAX_KEY = 255
MAX_BYTES = 65_535
MAX_PARAMETER_BYTES = 60_000
# The most bytes that a plain number and its quotes take as JSON.
MAX_PLAIN = 40
# Metrics of one call; who has more logs them in several.
MAX_METRICS = 10_000
_UNKNOWN = "give it as None, a number, text, a time, or a list or mapping of these"


class Recorded(dict[str, Value]):
    """Values by name as they are recorded, and in `losses` what was left out or changed."""

    def __init__(self, values: Mapping[str, Value] = {}, losses: Iterable[Loss] = ()) -> None:
        super().__init__(values)
        self.losses = list(losses)


def metadata_in_run(metadata: object, problems: RecordingProblems) -> dict[str, Value]:
    """Return what of the metadata is recorded, without secrets; the rest is added to the problems. Never raises."""
    found = _converted(metadata, Conversion(METADATA, redacts=True))
    if found is None:
        problems.add(
            "metadata", f"log_metadata takes a mapping, such as {{'auc': 0.9}}, not {described_type(type(metadata))}"
        )
        return {}
    add_losses(problems, "metadata", found.losses)
    return found


def metadata_or_raise(metadata: object, *, redacts: bool = False) -> dict[str, Value]:
    """Return the metadata as it is recorded. Raises InvalidField for what cannot be, and InvalidArgument."""
    with HeadRoom():
        found = _converted(metadata, Conversion(WHOLE, redacts=redacts))
    if found is None:
        raise InvalidArgument(
            f"log_metadata takes a mapping, such as {{'auc': 0.9}}, not {described_type(type(metadata))}"
        )
    for path, problem in found.losses:
        raise InvalidField(f"metadata{subscripts(path)}: {problem}; {_UNKNOWN}")
    return found


def parameters(arguments: Mapping[str, object]) -> Recorded:
    """Return the arguments of a call as they are recorded, without secrets. Never raises."""
    found = Recorded()
    weight = 0
    for name, value in arguments.items():
        if _is_plain(name, value):
            found[name] = value  # type: ignore[assignment]  # one of the plain types - as was just seen
            weight += len(name) + MAX_PLAIN
            continue
        conversion = Conversion(PARAMETERS, redacts=True)
        found.update(_converted({name: value}, conversion) or {})
        found.losses += conversion.losses
        weight += conversion.weight
    if weight > MAX_PARAMETER_BYTES:
        kinds = {name: f"{type_name(type(value))}, too large to be recorded" for name, value in arguments.items()}
        found.losses += _fit(found, MAX_PARAMETER_BYTES, lambda name: kinds.get(name, "too large to be recorded"))
    return found


def _is_plain(name: str, value: object) -> bool:
    """Whether this is what most parameters are, a short number by an everyday name, which needs no conversion."""
    is_short = -(10**12) < value < 10**12 if type(value) is int else value is None or type(value) in (float, bool)
    is_everyday = type(name) is str and len(name) <= MAX_KEY and name.isascii() and name.isidentifier()
    return is_short and is_everyday and secrecy_of(name) is Secrecy.NONE


def metadata_of(metadata: object, problems: RecordingProblems | None) -> dict[str, Value]:
    """Return the metadata as they are recorded, without secrets: in a run, whose problems are given, or elsewhere.

    Raises InvalidField and InvalidArgument, but not in a run.
    """
    return metadata_or_raise(metadata, redacts=True) if problems is None else metadata_in_run(metadata, problems)


def points_of(metrics: object, step: object, problems: RecordingProblems | None) -> list[MetricPoint]:
    """Return the points of metrics that were measured together, at 0 without a step: in a run, or elsewhere.

    Raises InvalidArgument, but not in a run: there a metric that cannot be recorded is added to the problems.
    """
    points = []
    for key, value in _pairs_of(metrics, problems):
        try:
            points.append(_point(key, value, step))
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            if problems is None:
                raise
            is_ours = isinstance(error, InvalidArgument)
            problem = str(error) if is_ours else f"reading it raised {type_name(type(error))}"
            problems.add(f"metric {_shown(key)!r}", problem)
    return points


def _pairs_of(metrics: object, problems: RecordingProblems | None) -> list[tuple[object, object]]:
    if type(metrics) is dict:
        return list(metrics.items())
    try:
        given = mapping(metrics, "log_metrics(metrics=...)", "{'loss': 0.5}")
        return list(islice(given.items(), MAX_METRICS))
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        if problems is None:
            raise
        said = str(error) if isinstance(error, InvalidArgument) else f"reading them raised {type_name(type(error))}"
        problems.add("metrics", said)
        return []


def _point(key: object, value: object, step: object) -> MetricPoint:
    problem = key_problem(key)
    if problem:
        raise InvalidArgument(f"log_metric(key=...) {problem}")
    at = 0 if step is None else number(step, "log_metric(step=...)")
    return MetricPoint(str.__str__(key), at, metric_value(value))


def metric_value(value: object) -> float:
    """Return the number that is measured: a number of any library, one in an array, or a duration in seconds.

    Raises InvalidArgument.
    """
    if type(value) is float:
        return value
    kind, found = type(value), Conversion(WHOLE, redacts=False).value(value)
    while isinstance(found, list) and len(found) == 1 and is_array(kind):
        found = found[0]
    if isinstance(found, str) and not issubclass(kind, str | bytes):  # more digits than a double keeps, or a fraction
        found = _as_float(value)
    try:
        if isinstance(found, int | float) and not isinstance(found, bool):
            return float(found)
    except OverflowError:
        pass
    is_large = issubclass(kind, int) and kind is not bool
    raise InvalidArgument(
        f"log_metric(value=...) takes a number, not {'one so large' if is_large else described_type(kind)}"
    )


def key_problem(key: object) -> str:
    """Return why the key of metadata or of a metric cannot be one; empty when it can."""
    if not issubclass(type(key), str):
        return f"takes text, not {described_type(type(key))}"
    text = str.__str__(key)
    if not 1 <= len(text) <= MAX_KEY:
        return f"is {_shown(key)!r}, which has {len(text):,} characters; it needs 1 to {MAX_KEY}"
    if not text.isprintable() or text.strip() != text:
        return f"is {_shown(key)!r}; it takes no control character, and no space at either end"
    return ""


def add_losses(problems: RecordingProblems, kind: str, losses: Iterable[Loss]) -> None:
    """Add what was left out or changed of the metadata or parameters of a run to its problems."""
    for path, problem in losses:
        problems.add(f"{kind} {dotted(path)!r}" if path else kind, problem)


def dotted(path: Path) -> str:
    """Return the path as `cv.fit_time[3]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def subscripts(path: Path) -> str:
    """Return the path as `['cv']['fit_time'][3]`."""
    return "".join(f"[{part!r}]" for part in path)


def _converted(values: object, conversion: Conversion) -> Recorded | None:
    """What is recorded of a mapping, or of an object with fields; None when it is neither."""
    found = conversion.value(values)
    if not isinstance(found, dict):
        return None
    for key in [key for key in found if key_problem(key)]:
        del found[key]
        conversion.losses.append(Loss((key,), f"the key {key_problem(key)}"))
    if conversion.limits is METADATA and conversion.weight > MAX_BYTES:
        conversion.losses += _fit(found, MAX_BYTES, None)
    return Recorded(found, conversion.losses)


def _fit(found: dict[str, Value], most: int, described: Callable[[str], str] | None) -> list[Loss]:
    """Leave out, or only describe, the largest of the values until all together are small enough."""
    sizes = {key: _size({key: value}) for key, value in found.items()}
    losses = []
    for key in sorted(sizes, key=lambda key: sizes[key], reverse=True):
        if sum(sizes.values()) <= most:
            break
        losses.append(Loss((key,), f"its {sizes[key]:,} bytes are too many: all together may have {most:,}"))
        if described is None:
            del found[key], sizes[key]
        else:
            found[key] = described(key)
            sizes[key] = _size({key: found[key]})
    return losses


def _size(values: dict[str, Value]) -> int:
    """The bytes as JSON, as the service counts them, where a time is a number of microseconds."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), default=lambda _: 10**17)
    return len(text.encode())


def _as_float(value: Any) -> Value:
    with suppress(Exception):  # it is the user's, and may be anything
        return float(value)
    return None


def _shown(key: object) -> str:
    text = str.__str__(key) if issubclass(type(key), str) else described_type(type(key))
    return text if len(text) <= 50 else f"{text[:50]}…"

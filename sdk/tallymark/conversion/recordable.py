"""Convert metadata, parameters and metrics of a program to what is recorded.

Within a run nothing raises: a value that cannot be recorded is left out, and added to the run's problems. Outside runs,
it raises InvalidField with the path of the value.
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
from tallymark.conversion.vocabulary import METADATA, PARAMETERS, UNCUT, Loss, Path, described_type, type_name
from tallymark.errors import InvalidArgument, InvalidField
from tallymark.runtime.headroom import HeadRoom
from tallymark.types.resources import MetricPoint, Value

# The limits of the service: for a key, and for all metadata of a version or parameters of a run as JSON.
MAX_KEY = 255
MAX_BYTES = 65_535
MAX_PARAMETER_BYTES = 60_000
# An upper bound for the bytes of a number and the quotes of its name as JSON.
MAX_NUMBER_BYTES = 40
# The maximum number of metrics in one call.
MAX_METRICS = 10_000
_ADVICE = "give it as None, a number, text, a time, or a list or mapping of these"


class Recorded(dict[str, Value]):
    """Values by name as they are recorded; `losses` are what was left out or changed."""

    def __init__(self, values: Mapping[str, Value] = {}, losses: Iterable[Loss] = ()) -> None:
        super().__init__(values)
        self.losses = list(losses)


def metadata_in_run(metadata: object, problems: RecordingProblems) -> dict[str, Value]:
    """Return the metadata as they are recorded, without secrets. Never raises: the rest is added to the problems."""
    found = _converted(metadata, Conversion(METADATA, redacts=True))
    if found is None:
        problems.add(
            "metadata", f"log_metadata takes a mapping, such as {{'auc': 0.9}}, not {described_type(type(metadata))}"
        )
        return {}
    add_losses(problems, "metadata", found.losses)
    return found


def metadata_or_raise(metadata: object, *, redacts: bool = False) -> dict[str, Value]:
    """Return the metadata as they are recorded.

    Raises:
        InvalidField: A value cannot be recorded.
        InvalidArgument: The metadata are not a mapping.
    """
    with HeadRoom():
        found = _converted(metadata, Conversion(UNCUT, redacts=redacts))
    if found is None:
        raise InvalidArgument(
            f"log_metadata takes a mapping, such as {{'auc': 0.9}}, not {described_type(type(metadata))}"
        )
    for path, problem in found.losses:
        raise InvalidField(f"metadata{subscripts(path)}: {problem}; {_ADVICE}")
    return found


def parameters(arguments: Mapping[str, object]) -> Recorded:
    """Return the arguments of a call as they are recorded, without secrets. Never raises."""
    found = Recorded()
    weight = 0
    for name, value in arguments.items():
        if _is_plain(name, value):
            found[name] = value  # type: ignore[assignment]  # one of the plain types - as was just checked
            weight += len(name) + MAX_NUMBER_BYTES
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
    """Return whether this is a short number with a simple name, which needs no conversion, as most parameters are."""
    is_short = -(10**12) < value < 10**12 if type(value) is int else value is None or type(value) in (float, bool)
    is_everyday = type(name) is str and len(name) <= MAX_KEY and name.isascii() and name.isidentifier()
    return is_short and is_everyday and secrecy_of(name) is Secrecy.NONE


def metadata_of(metadata: object, problems: RecordingProblems | None) -> dict[str, Value]:
    """Return the metadata as they are recorded, without secrets.

    With the problems of a run, never raises; without, raises InvalidField and InvalidArgument.
    """
    return metadata_or_raise(metadata, redacts=True) if problems is None else metadata_in_run(metadata, problems)


def points_of(metrics: object, step: object, problems: RecordingProblems | None) -> list[MetricPoint]:
    """Return the points of metrics that were measured together, at step 0 if there is no step.

    With the problems of a run, an invalid metric is added to these; without, raises InvalidArgument.
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
            is_invalid = isinstance(error, InvalidArgument)
            problem = str(error) if is_invalid else f"reading it raised {type_name(type(error))}"
            problems.add(f"metric {_shortened(key)!r}", problem)
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
        problem = str(error) if isinstance(error, InvalidArgument) else f"reading them raised {type_name(type(error))}"
        problems.add("metrics", problem)
        return []


def _point(key: object, value: object, step: object) -> MetricPoint:
    problem = key_problem(key)
    if problem:
        raise InvalidArgument(f"log_metric(key=...) {problem}")
    at = 0 if step is None else number(step, "log_metric(step=...)")
    return MetricPoint(str.__str__(key), at, metric_value(value))


def metric_value(value: object) -> float:
    """Return the value of a metric: a number of any library, the only one in an array, or a duration in seconds.

    Raises InvalidArgument.
    """
    if type(value) is float:
        return value
    kind, found = type(value), Conversion(UNCUT, redacts=False).value(value)
    while isinstance(found, list) and len(found) == 1 and is_array(kind):
        found = found[0]
    if isinstance(found, str) and not issubclass(kind, str | bytes):  # such as a Fraction or a long Decimal
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
    """Return why a key of metadata or a metric is not valid; empty if it is valid."""
    if not issubclass(type(key), str):
        return f"takes text, not {described_type(type(key))}"
    text = str.__str__(key)
    if not 1 <= len(text) <= MAX_KEY:
        return f"is {_shortened(key)!r}, which has {len(text):,} characters; it needs 1 to {MAX_KEY}"
    if not text.isprintable() or text.strip() != text:
        return f"is {_shortened(key)!r}; it takes no control character, and no space at either end"
    return ""


def add_losses(problems: RecordingProblems, kind: str, losses: Iterable[Loss]) -> None:
    """Add the losses of metadata or parameters to the problems of a run."""
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
    """Return what is recorded of a mapping or an object with fields; None if it is neither."""
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
    """Leave out, or only describe, the largest values until all together fit. Return the losses."""
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
    """Return the size as JSON in bytes, as the service counts it: a time is a number of microseconds."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), default=lambda _: 10**17)
    return len(text.encode())


def _as_float(value: Any) -> Value:
    with suppress(Exception):  # `__float__` of a user's class may raise anything
        return float(value)
    return None


def _shortened(key: object) -> str:
    text = str.__str__(key) if issubclass(type(key), str) else described_type(type(key))
    return text if len(text) <= 50 else f"{text[:50]}…"

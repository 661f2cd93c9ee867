"""The geometry of the charts. The templates draw them, so that texts are escaped as everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tallymark_server.domain.model import ModelVersion, Run, RunState, RunStep

FIVE = 5
BROKEN = frozenset({RunState.FAILED, RunState.LOST})
# The size of a plot, in its own units.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 208, 2, 2, 22, 36
SPARK_WIDTH, SPARK_HEIGHT = 72, 18
CURVE_WIDTH, CURVE_HEIGHT = 520, 168
SPAN_WIDTH, SPAN_LEAST = 240, 2
# The distance between the outermost points of a plot and its edges.
EDGE = 10


class Stroke(NamedTuple):
    """The tally mark of a number. `version` is None if it exists no longer."""

    number: int
    version: ModelVersion | None

    @property
    def look(self) -> str:
        """The CSS class for its stage."""
        return "gone" if self.version is None or self.version.delete_time else self.version.stage.value

    @property
    def broken(self) -> bool:
        """Whether the version exists, and its run failed or is lost."""
        return self.look != "gone" and self.version is not None and self.version.run_state in BROKEN


def tally(versions: Mapping[int, ModelVersion], last: int, most: int) -> list[list[Stroke]]:
    """Return the last numbers in groups of five, like tally marks: the fifth stroke crosses the other four."""
    first = max(1, last - most + 1)
    first -= (first - 1) % FIVE
    return strokes(versions, first, last)


def strokes(versions: Mapping[int, ModelVersion], first: int, last: int) -> list[list[Stroke]]:
    """Return the strokes of the numbers from `first`, which begins a group of five, to `last`."""
    return [
        [Stroke(at, versions.get(at)) for at in range(start, min(start + FIVE, last + 1))]
        for start in range(first, last + 1, FIVE)
    ]


def around(number: int, last: int) -> tuple[int, int]:
    """Return the range to draw around a number: groups of five, ten numbers before and five after its own."""
    own = number - (number - 1) % FIVE
    first = max(1, own - 2 * FIVE)
    return first, min(last, max(own + 2 * FIVE, first + 4 * FIVE) - 1)


class Point(NamedTuple):
    """The point of a version in a plot."""

    x: float
    y: float
    version: ModelVersion
    value: float


class Level(NamedTuple):
    """A horizontal line and its label, which is above the highest or below the lowest point."""

    y: float
    text: str
    where: str


class Mark(NamedTuple):
    """A label below a plot, and its text anchor."""

    x: float
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of a metric by version number."""

    points: list[Point]
    path: str
    levels: list[Level]
    marks: list[Mark]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT


def plot(values: Sequence[tuple[ModelVersion, float]]) -> Plot | None:
    """Return the plot of the metric of versions, lowest number first, None with fewer than two."""
    if len(values) < 2:
        return None
    lowest, highest = min(value for _, value in values), max(value for _, value in values)
    room = (highest - lowest) * 0.08 or abs(highest) * 0.05 or 1.0
    across = _scale(values[0][0].number, values[-1][0].number, LEFT + EDGE, WIDTH - RIGHT - EDGE)
    up = _scale(lowest - room, highest + room, HEIGHT - BOTTOM, TOP)
    points = [Point(across(version.number), up(value), version, value) for version, value in values]
    line = "M" + "L".join(f"{point.x:g} {point.y:g}" for point in points)
    ends = [
        Mark(LEFT, str(values[0][0].number), "start"),
        Mark(WIDTH - RIGHT, str(values[-1][0].number), "end"),
    ]
    middle = values[len(values) // 2][0].number
    between = [Mark(across(middle), str(middle), "middle")] if len(values) > 2 else []
    return Plot(points, line, _levels(lowest, highest, up), ends + between)


def _levels(lowest: float, highest: float, up: _Scale) -> list[Level]:
    top = Level(up(highest), f"{highest:.4g}", "high")
    return [top, Level(up(lowest), f"{lowest:.4g}", "low")] if highest > lowest else [top]


def spark(values: Sequence[float]) -> str:
    """Return the path of a sparkline, empty with fewer than two values."""
    if len(values) < 2:
        return ""
    across = _scale(0, len(values) - 1, 2, SPARK_WIDTH - 2)
    up = _scale(min(values), max(values), SPARK_HEIGHT - 3, 3)
    return "M" + "L".join(f"{across(index):g} {up(value):g}" for index, value in enumerate(values))


Steps = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric by step, over that of another version: paths with a part for each run of finite numbers."""

    path: str
    behind: str
    levels: list[Level]
    marks: list[Mark]
    width: int = CURVE_WIDTH
    height: int = CURVE_HEIGHT
    left: int = LEFT
    right: int = CURVE_WIDTH - RIGHT


def curve(points: Steps, behind: Steps = ()) -> Curve | None:
    """Return the curve of a metric by step, with gaps, None if no point is a finite number."""
    if not any(math.isfinite(value) for _, value in points):
        return None
    drawn = [*points, *behind]
    finite = [value for _, value in drawn if math.isfinite(value)]
    lowest, highest = min(finite), max(finite)
    first, last = min(step for step, _ in drawn), max(step for step, _ in drawn)
    across = _scale(first, last, LEFT, CURVE_WIDTH - RIGHT)
    up = _scale(lowest, highest, CURVE_HEIGHT - BOTTOM, TOP)
    ends = [Mark(across(first), f"{first:,}", "start"), Mark(across(last), f"{last:,}", "end")]
    return Curve(
        _line(points, across, up),
        _line(behind, across, up),
        _levels(lowest, highest, up),
        ends if last > first else [Mark(across(first), f"{first:,}", "middle")],
    )


def _line(points: Steps, across: _Scale, up: _Scale) -> str:
    path, pen = [], "M"
    for place, (step, value) in enumerate(points):
        if math.isfinite(value):
            path.append(f"{pen}{across(step):g} {up(value):g}")
            alone = pen == "M" and (place + 1 == len(points) or not math.isfinite(points[place + 1][1]))
            # A line of length 0 is drawn as a dot, because its ends are round.
            path.append("h0" if alone else "")
        pen = "L" if math.isfinite(value) else "M"
    return "".join(path)


class _Scale:
    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        # Halved first, since the difference of two huge numbers may be infinite.
        self._low, self._span = low, high / 2 - low / 2
        self._start, self._length = start, end - start

    def __call__(self, value: float) -> float:
        if self._span == 0:
            return self._start + self._length / 2
        return round(self._start + self._length * ((value / 2 - self._low / 2) / self._span), 1)


def _scale(low: float, high: float, start: float, end: float) -> _Scale:
    return _Scale(low, high, start, end)


class Span(NamedTuple):
    """A step of a run, with the bar of its part of the run's time."""

    step: RunStep
    begun: int
    x: float
    width: float


def begun(of: Run | RunStep) -> int:
    """Return its start time by the program's clock, or else by the registry's."""
    return of.create_time if of.start_time is None else of.start_time


def spans(run: Run, steps: Sequence[RunStep], now: int) -> list[Span]:
    """Return the bars of the steps in the time of the run. A running step ends now."""
    ends = [step.end_time or now for step in steps]
    first = min((begun(run), *(begun(step) for step in steps)))
    last = max((run.end_time or now, *ends, first + 1))
    scale = SPAN_WIDTH / (last - first)
    return [
        Span(
            step,
            begun(step),
            round(min((begun(step) - first) * scale, SPAN_WIDTH - SPAN_LEAST), 1),
            round(max((end - begun(step)) * scale, SPAN_LEAST), 1),
        )
        for step, end in zip(steps, ends, strict=True)
    ]

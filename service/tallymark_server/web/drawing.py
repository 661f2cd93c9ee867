"""The geometry of the pictures. The templates draw it, so that what people wrote is escaped as everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tallymark_server.domain.model import ModelVersion

FIVE = 5
# Of a plot, in its own units.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 180, 56, 16, 14, 26
SPARK_WIDTH, SPARK_HEIGHT = 72, 18


class Stroke(NamedTuple):
    """One number's mark in the tally; `version` is None when there is no such version any more."""

    number: int
    version: ModelVersion | None

    @property
    def look(self) -> str:
        """What its stage makes of it."""
        return "gone" if self.version is None or self.version.delete_time else self.version.stage.value


def tally(versions: Mapping[int, ModelVersion], last: int, most: int) -> list[list[Stroke]]:
    """The last numbers in fives, as tallies are kept: the fifth stroke crosses the four before it."""
    first = max(1, last - most + 1)
    first -= (first - 1) % FIVE
    return [
        [Stroke(at, versions.get(at)) for at in range(start, min(start + FIVE, last + 1))]
        for start in range(first, last + 1, FIVE)
    ]


class Point(NamedTuple):
    """A version's place in a plot."""

    x: float
    y: float
    version: ModelVersion
    value: float


@dataclass(frozen=True, slots=True)
class Plot:
    """A metric by number."""

    points: list[Point]
    path: str
    levels: list[tuple[float, str]]
    numbers: list[tuple[float, int]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    floor: int = HEIGHT - BOTTOM


def plot(values: Sequence[tuple[ModelVersion, float]]) -> Plot | None:
    """The metric of versions, the lowest number first; None with fewer than two."""
    if len(values) < 2:
        return None
    lowest, highest = min(value for _, value in values), max(value for _, value in values)
    room = (highest - lowest) * 0.08 or abs(highest) * 0.05 or 1.0
    across = _scale(values[0][0].number, values[-1][0].number, LEFT + 10, WIDTH - RIGHT - 10)
    up = _scale(lowest - room, highest + room, HEIGHT - BOTTOM, TOP)
    points = [Point(across(version.number), up(value), version, value) for version, value in values]
    levels = [lowest, highest] if highest > lowest else [lowest]
    marked = {values[0][0].number, values[-1][0].number, values[len(values) // 2][0].number}
    return Plot(
        points,
        "M" + "L".join(f"{point.x:g} {point.y:g}" for point in points),
        [(up(level), f"{level:.4g}") for level in levels],
        [(across(at), at) for at in sorted(marked)],
    )


def spark(values: Sequence[float]) -> str:
    """The path of a line that is as wide as a word; empty with fewer than two values."""
    if len(values) < 2:
        return ""
    across = _scale(0, len(values) - 1, 2, SPARK_WIDTH - 2)
    up = _scale(min(values), max(values), SPARK_HEIGHT - 3, 3)
    return "M" + "L".join(f"{across(index):g} {up(value):g}" for index, value in enumerate(values))


class Curve(NamedTuple):
    """A metric by step: a path for each stretch of numbers, and the levels and steps that are named."""

    path: str
    levels: list[tuple[float, str]]
    steps: list[tuple[float, int]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT


def curve(points: Sequence[tuple[int, float]]) -> Curve:
    """The points of a metric in the order of their steps; what is no finite number breaks the line."""
    finite = [(step, value) for step, value in points if math.isfinite(value)]
    if not finite:
        return Curve("", [], [])
    lowest, highest = min(value for _, value in finite), max(value for _, value in finite)
    across = _scale(points[0][0], points[-1][0], LEFT + 10, WIDTH - RIGHT - 10)
    up = _scale(lowest, highest, HEIGHT - BOTTOM - 8, TOP)
    path, pen = [], "M"
    for step, value in points:
        if math.isfinite(value):
            path.append(f"{pen}{across(step):g} {up(value):g}")
        pen = "L" if math.isfinite(value) else "M"
    levels = [lowest, highest] if highest > lowest else [lowest]
    ends = dict.fromkeys((points[0][0], points[-1][0]))
    return Curve("".join(path), [(up(level), f"{level:.4g}") for level in levels], [(across(at), at) for at in ends])


class _Scale:
    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        # Halves first: the difference of two huge numbers may be no number.
        self._low, self._span = low, high / 2 - low / 2
        self._start, self._length = start, end - start

    def __call__(self, value: float) -> float:
        if self._span == 0:
            return self._start + self._length / 2
        return round(self._start + self._length * ((value / 2 - self._low / 2) / self._span), 1)


def _scale(low: float, high: float, start: float, end: float) -> _Scale:
    return _Scale(low, high, start, end)

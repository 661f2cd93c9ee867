"""The picture of a lineage: a column for each distance, with the sources on the left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from tallymark_server.domain.model import Artifact, ModelVersion, Run, RunState, Stage
from tallymark_server.registry import Lineage, NodeKey

# Sizes, in the picture's own units.
ACROSS, DOWN, WIDTH, HEIGHT, MARGIN = 216, 60, 172, 46, 4
LONGEST = 21
# More nodes are only in the table.
MAX_NODES = 60


class Box(NamedTuple):
    """A node in the picture."""

    key: NodeKey
    x: int
    y: int
    resource: ModelVersion | Run | Artifact
    here: bool

    @property
    def kind(self) -> str:
        """The kind of the node, in a word."""
        return str(self.key[0])

    @property
    def label(self) -> str:
        """The name, cut to the width of the box."""
        return _short(called(self.resource))

    @property
    def about(self) -> str:
        """The second line of the box."""
        return _short(about(self.resource), LONGEST + 5)


class Picture(NamedTuple):
    """The boxes, the arrows between them as paths, and the size of the picture."""

    boxes: list[Box]
    arrows: list[str]
    width: int
    height: int


def called(resource: ModelVersion | Run | Artifact) -> str:
    """Return the name of the node for people."""
    match resource:
        case ModelVersion():
            return f"{resource.model} No. {resource.number}"
        case Run():
            return resource.pipeline or resource.id
        case Artifact():
            return resource.name


def about(resource: ModelVersion | Run | Artifact) -> str:
    """Return the kind of the node, and a detail that people know."""
    match resource:
        case ModelVersion():
            known = [resource.name or "", "" if resource.stage is Stage.NONE else resource.stage.value]
            ended = resource.run_state
            known.append("" if ended in (None, RunState.SUCCEEDED) else f"run {ended}")
            return ", ".join(["version", *filter(None, known)])
        case Run():
            return f"run {resource.id}, {resource.state.value}" if resource.pipeline else f"run, {resource.state.value}"
        case Artifact():
            return f"{resource.type.value}, {resource.format}" if resource.format else resource.type.value


def _short(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def picture(lineage: Lineage) -> Picture:
    """Return the picture of the lineage around its start, which is the first node."""
    start = lineage.nodes[0].key
    upstream = _upstream(start, [(edge.source, edge.target) for edge in lineage.edges])
    columns: dict[int, list[int]] = defaultdict(list)
    for place, node in enumerate(lineage.nodes[:MAX_NODES]):
        columns[-node.depth if node.key in upstream else node.depth].append(place)
    first, tallest = min(columns), max(len(places) for places in columns.values())
    boxes: dict[NodeKey, Box] = {}
    for column, places in sorted(columns.items()):
        top = MARGIN + (tallest - len(places)) * DOWN // 2
        for row, place in enumerate(places):
            node = lineage.nodes[place]
            x, y = MARGIN + (column - first) * ACROSS, top + row * DOWN
            boxes[node.key] = Box(node.key, x, y, node.resource, node.key == start)
    arrows = [
        _arrow(boxes[edge.source], boxes[edge.target])
        for edge in lineage.edges
        if edge.source in boxes and edge.target in boxes
    ]
    width = (max(columns) - first) * ACROSS + WIDTH + 2 * MARGIN
    return Picture(list(boxes.values()), arrows, width, (tallest - 1) * DOWN + HEIGHT + 2 * MARGIN)


def _upstream(start: NodeKey, edges: Iterable[tuple[NodeKey, NodeKey]]) -> set[NodeKey]:
    sources: dict[NodeKey, list[NodeKey]] = defaultdict(list)
    for source, target in edges:
        sources[target].append(source)
    found: set[NodeKey] = set()
    waiting = [start]
    while waiting:
        for source in sources[waiting.pop()]:
            if source not in found:
                found.add(source)
                waiting.append(source)
    return found


def _arrow(source: Box, target: Box) -> str:
    """Return the path from the right side of one box to the left side of another, horizontal at both ends."""
    x, y = source.x + WIDTH, source.y + HEIGHT // 2
    to_x, to_y = target.x, target.y + HEIGHT // 2
    bend = (to_x - x) // 2
    return f"M{x} {y}C{x + bend} {y} {to_x - bend} {to_y} {to_x} {to_y}"

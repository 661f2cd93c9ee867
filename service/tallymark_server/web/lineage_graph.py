"""The picture of what came from what: a column for each distance, from the sources on the left to the right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from tallymark_server.domain.model import Artifact, ModelVersion, Run, RunState, Stage
from tallymark_server.registry import Lineage, NodeKey

# In the picture's own units.
ACROSS, DOWN, WIDTH, HEIGHT, MARGIN = 216, 60, 172, 46, 4
LONGEST = 21
# More are told by the table alone.
MAX_NODES = 60


class Box(NamedTuple):
    """A thing's place in the picture."""

    key: NodeKey
    x: int
    y: int
    resource: ModelVersion | Run | Artifact
    here: bool

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        return str(self.key[0])

    @property
    def label(self) -> str:
        """What it is called, as far as there is room for it."""
        return _short(called(self.resource))

    @property
    def about(self) -> str:
        """What else there is room for."""
        return _short(about(self.resource), LONGEST + 5)


class Picture(NamedTuple):
    """Boxes, the arrows between them as paths, and how large it is."""

    boxes: list[Box]
    arrows: list[str]
    width: int
    height: int


def called(resource: ModelVersion | Run | Artifact) -> str:
    """What a person calls it."""
    match resource:
        case ModelVersion():
            return f"{resource.model} No. {resource.number}"
        case Run():
            return resource.pipeline or resource.id
        case Artifact():
            return resource.name


def about(resource: ModelVersion | Run | Artifact) -> str:
    """What it is, and what of it a person knows it by."""
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
    """The lineage, drawn around its beginning, which is the first of its nodes."""
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
    """From the right side of one box to the left side of the other, leaving and arriving level."""
    x, y = source.x + WIDTH, source.y + HEIGHT // 2
    to_x, to_y = target.x, target.y + HEIGHT // 2
    bend = (to_x - x) // 2
    return f"M{x} {y}C{x + bend} {y} {to_x - bend} {to_y} {to_x} {to_y}"

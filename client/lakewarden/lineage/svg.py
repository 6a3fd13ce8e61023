"""Lineage as a drawing: layers from left to right, sources left of what was made of them, few crossings."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple
from unicodedata import east_asian_width
from xml.sax.saxutils import escape, quoteattr

from lakewarden.lineage.layers import Layers, Place, layers_of
from lakewarden.lineage.model import Lineage, LineageNode, plain

LABEL_MAX, SMALL_MAX = 44, 50
SMALL_WIDTH = 0.86
"""Of a character of the second line, in those of the first."""
CHARACTER_WIDTH, PADDING, HEIGHT, SPACE, GAP, MARGIN, LANE = 7.2, 14, 40, 18, 90, 24, 10
PASSAGE_HEIGHT = 2
INDIRECT = {"FILTER", "JOIN", "GROUP_BY", "SORT", "WINDOW", "CONDITIONAL"}
"""What only chooses or orders rows; drawn dashed, like what is not sure."""
_STYLE = """
  text { font-family: ui-sans-serif, system-ui, "DejaVu Sans", sans-serif; font-size: 12.5px; fill: #1b2733 }
  .kind { font-size: 10.5px; fill: #5d6b78 }
  .node rect { fill: #ffffff; stroke: #8ea0b0; stroke-width: 1.2 }
  .root rect { fill: #e8f1fb; stroke: #1f6fc4; stroke-width: 2 }
  .hidden rect { fill: #f3f4f6; stroke: #9aa5b1; stroke-dasharray: 5 4 }
  .hidden text, .dropped text { fill: #7a8794; font-style: italic }
  .dropped rect { stroke-dasharray: 2 3 }
  .edge { fill: none; stroke: #8ea0b0; stroke-width: 1.4 }
  .edge.unsure { stroke-dasharray: 5 4 }
  .edge.declared { stroke: #b07a1e; stroke-dasharray: 2 4 }
  .note { fill: #9a5b00 }
"""


class _Box(NamedTuple):
    node: LineageNode | None
    """None where an edge passes."""
    x: float
    y: float
    width: float
    height: int

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def to_svg(lineage: Lineage) -> str:
    """One SVG document that stands alone; every label is escaped, and in full where one points at it."""
    lineage = lineage.ordered()
    layers = layers_of(lineage)
    boxes, width, height = _boxes(lineage, layers)
    floor = height - MARGIN
    back = [edge for edge in lineage.edges if edge[:2] not in layers.ways]
    lanes = {edge: floor + (lane + 1) * LANE for lane, edge in enumerate(back)}
    height += len(back) * LANE
    note = " · ".join(_notes(lineage))
    height += 24 if note else 0
    width = max(width, 2 * MARGIN + CHARACTER_WIDTH * len(note))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="Lineage">',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#8ea0b0"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fbfcfd"/>',
    ]
    for edge in lineage.edges:
        look = "edge unsure" if edge.is_dashed or edge.subtype in INDIRECT else "edge"
        look += " declared" if edge.is_declared else ""
        way = [boxes[place] for place in layers.ways.get(edge[:2], edge[:2])]
        curve = _back(way[0], way[-1], lanes[edge]) if edge in lanes else _onward(way)
        how = f"><title>{escape(edge.how)}</title></path>" if edge.how else "/>"
        lines.append(f'<path class="{look}" marker-end="url(#arrow)" d="{curve}"{how}')
    lines += [_drawn(box.node, box) for box in boxes.values() if box.node]
    if note:
        lines.append(f'<text class="note" x="{MARGIN}" y="{height - 14:.0f}">{note}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _notes(lineage: Lineage) -> list[str]:
    """What the strokes in a drawing mean, those that are in it, and that it is not all."""
    solid = [edge for edge in lineage.edges if not edge.is_declared]
    told = {
        "dashed: only chose or ordered rows": any(edge.subtype in INDIRECT for edge in solid),
        "dashed: not made, or not yet, or not any more": any(edge.is_dashed for edge in solid),
        "dotted: declared, not observed": len(solid) < len(lineage.edges),
        f"cut by {lineage.truncated_by.lower()}: there is more than this": bool(lineage.truncated_by),
    }
    return [note for note, is_so in told.items() if is_so]


def _boxes(lineage: Lineage, layers: Layers) -> tuple[dict[Place, _Box], float, float]:
    """Where each node is drawn and each passage leads through, and the size of the whole."""
    nodes = {node.id: node for node in lineage.nodes}
    heights = [sum(_height(place) + SPACE for place in layer) - SPACE for layer in layers.places]
    tallest = max(heights, default=0)
    boxes: dict[Place, _Box] = {}
    x = float(MARGIN)
    for layer, height in zip(layers.places, heights, strict=True):
        width = max(_width(nodes[place]) for place in layer if isinstance(place, str))
        y = MARGIN + (tallest - height) / 2
        for place in layer:
            node = nodes[place] if isinstance(place, str) else None
            boxes[place] = _Box(node, x, y, width, _height(place))
            y += _height(place) + SPACE
        x += width + GAP
    return boxes, max(x - GAP + MARGIN, 2 * MARGIN), 2 * MARGIN + tallest


def _height(place: Place) -> int:
    return HEIGHT if isinstance(place, str) else PASSAGE_HEIGHT


def _width(node: LineageNode) -> float:
    title, small = _lines(node)
    return max(90.0, 2 * PADDING + CHARACTER_WIDTH * max(_breadth(title), SMALL_WIDTH * _breadth(small)))


def _breadth(text: str) -> float:
    """How broad a text is at most, in characters of common width: of capitals and of East Asian letters fewer fit."""
    return sum(
        1.75 if east_asian_width(letter) in "WF" or letter in "WMmw@%" else 1.4 if letter.isupper() else 1
        for letter in text
    )


def _lines(node: LineageNode) -> tuple[str, str]:
    """What is written in a box: the name, and below it whose column it is, the namespace of a dataset, or what else it is."""
    title, small = node.label, "" if node.hidden else node.kind.lower().replace("_", " ")
    if node.column:
        title, small = node.column, node.name
    elif node.namespace:
        title, small = title.removeprefix(node.namespace).strip() or title, node.namespace
    return plain(title, LABEL_MAX), plain(small, SMALL_MAX)


def _onward(way: Sequence[_Box]) -> str:
    """From the right of one box to the left of the next, and straight on where it only passes."""
    curve = f"M{way[0].x + way[0].width:.1f} {way[0].middle:.1f}"
    for source, target in itertools.pairwise(way):
        start = source.x + source.width
        bend = (target.x - start) / 2
        curve += (
            f"C{start + bend:.1f} {source.middle:.1f} {target.x - bend:.1f} {target.middle:.1f} "
            f"{target.x:.1f} {target.middle:.1f}"
        )
        curve += f"H{target.x + target.width:.1f}" if target.node is None else ""
    return curve


def _back(source: _Box, target: _Box, lane: float) -> str:
    """What leads back goes round below everything, in a lane of its own."""
    start, end, side = source.x + source.width, target.x, GAP / 3
    return (
        f"M{start:.1f} {source.middle:.1f}C{start + side:.1f} {source.middle:.1f} {start + side:.1f} {lane:.1f} "
        f"{start:.1f} {lane:.1f}L{end:.1f} {lane:.1f}C{end - side:.1f} {lane:.1f} "
        f"{end - side:.1f} {target.middle:.1f} {end:.1f} {target.middle:.1f}"
    )


def _drawn(node: LineageNode, box: _Box) -> str:
    look = "hidden" if node.hidden else "dropped" if node.dropped else "root" if node.distance == 0 else ""
    title, small = _lines(node)
    full = quoteattr(plain(node.label, 4_000))
    return (
        f'<g class="node {look}" aria-label={full}><title>{escape(plain(node.label, 4_000))}</title>'
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{HEIGHT}" rx="7"/>'
        f'<text x="{box.x + PADDING:.1f}" y="{box.y + (17 if small else 24):.1f}">{escape(title)}</text>'
        + (
            f'<text class="kind" x="{box.x + PADDING:.1f}" y="{box.y + 31:.1f}">{escape(small)}</text>'
            if small
            else ""
        )
        + "</g>"
    )

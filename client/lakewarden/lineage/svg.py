"""Lineage as a drawing: layers from left to right, sources left of what was made of them, few crossings."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple
from unicodedata import east_asian_width
from xml.sax.saxutils import escape, quoteattr

from lakewarden.lineage.model import Lineage, LineageNode, plain

LABEL_MAX, SMALL_MAX = 44, 50
SMALL_WIDTH = 0.86
"""Of a character of the second line, in those of the first."""
SWEEPS = 8
"""Times the order within the layers is improved from their neighbours'."""
CHARACTER_WIDTH, PADDING, HEIGHT, ROW, GAP, MARGIN, LANE = 7.2, 14, 40, 58, 90, 24, 10
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
    node: LineageNode
    x: float
    y: float
    width: float


def to_svg(lineage: Lineage) -> str:
    """One SVG document that stands alone; every label is escaped, and in full where one points at it."""
    lineage = lineage.ordered()
    boxes, width, height = _boxes(lineage)
    floor = height - MARGIN
    back = [edge for edge in lineage.edges if not _leads_on(boxes[edge.source_id], boxes[edge.target_id])]
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
        curve = _curve(boxes[edge.source_id], boxes[edge.target_id], lanes.get(edge))
        how = f"><title>{escape(edge.how)}</title></path>" if edge.how else "/>"
        lines.append(f'<path class="{look}" marker-end="url(#arrow)" d="{curve}"{how}')
    lines += [_drawn(box) for box in boxes.values()]
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


def _boxes(lineage: Lineage) -> tuple[dict[str, _Box], float, float]:
    """Where each node is drawn, and the size of the whole."""
    layers = _ordered_layers(lineage)
    tallest = max((len(layer) for layer in layers), default=0)
    boxes: dict[str, _Box] = {}
    x = float(MARGIN)
    for layer in layers:
        width = max(_width(node) for node in layer)
        top = MARGIN + (tallest - len(layer)) * ROW / 2
        for row, node in enumerate(layer):
            boxes[node.id] = _Box(node, x, top + row * ROW, width)
        x += width + GAP
    return boxes, max(x - GAP + MARGIN, 2 * MARGIN), 2 * MARGIN + max(tallest * ROW - (ROW - HEIGHT), 0)


def _ordered_layers(lineage: Lineage) -> list[list[LineageNode]]:
    """The nodes by their layer, each layer ordered by where its neighbours stand (barycentres, swept both ways)."""
    found: dict[int, list[LineageNode]] = defaultdict(list)
    for node in lineage.nodes:
        found[node.distance].append(node)
    layers = [found[distance] for distance in sorted(found)]
    beside: dict[str, list[str]] = defaultdict(list)
    for edge in lineage.edges:
        beside[edge.source_id].append(edge.target_id)
        beside[edge.target_id].append(edge.source_id)
    rows = {node.id: float(row) for layer in layers for row, node in enumerate(layer)}
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            layer.sort(key=lambda node: (_middle(rows, beside[node.id], rows[node.id]), rows[node.id]))
            rows.update((node.id, row - (len(layer) - 1) / 2) for row, node in enumerate(layer))
    return layers


def _middle(rows: dict[str, float], others: list[str], alone: float) -> float:
    return sum(rows[other] for other in others) / len(others) if others else alone


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


def _leads_on(source: _Box, target: _Box) -> bool:
    return target.x > source.x


def _curve(source: _Box, target: _Box, lane: float | None) -> str:
    """From the right of one box to the left of the other; what leads back goes round below everything, in a lane of its own."""
    start_x, start_y = source.x + source.width, source.y + HEIGHT / 2
    end_x, end_y = target.x, target.y + HEIGHT / 2
    if lane is None:
        bend = (end_x - start_x) / 2
        return (
            f"M{start_x:.1f} {start_y:.1f}C{start_x + bend:.1f} {start_y:.1f} "
            f"{end_x - bend:.1f} {end_y:.1f} {end_x:.1f} {end_y:.1f}"
        )
    side = GAP / 3
    return (
        f"M{start_x:.1f} {start_y:.1f}C{start_x + side:.1f} {start_y:.1f} {start_x + side:.1f} {lane:.1f} "
        f"{start_x:.1f} {lane:.1f}L{end_x:.1f} {lane:.1f}C{end_x - side:.1f} {lane:.1f} "
        f"{end_x - side:.1f} {end_y:.1f} {end_x:.1f} {end_y:.1f}"
    )


def _drawn(box: _Box) -> str:
    node = box.node
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

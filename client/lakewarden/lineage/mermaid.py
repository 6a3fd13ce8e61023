"""Lineage as a Mermaid flowchart, kept within what Mermaid draws."""

from __future__ import annotations

from lakewarden.lineage.model import Lineage, LineageNode, plain

EDGES_MAX = 500
"""Mermaid refuses more."""
CHARACTERS_MAX = 50_000
"""Mermaid refuses longer texts."""
LABEL_MAX = 60
_ESCAPED = {character: f"#{ord(character)};" for character in '"#<>&[](){}|\\`'}


def to_mermaid(lineage: Lineage) -> str:
    """A flowchart from left to right; where it would be too much, what is furthest away is left out and counted."""
    lineage = lineage.ordered()
    furthest = max((abs(node.distance) for node in lineage.nodes), default=0)
    for distance in range(furthest, -1, -1):
        kept = {node.id for node in lineage.nodes if abs(node.distance) <= distance}
        text = _chart(lineage, kept)
        if text is not None:
            return text
    return _chart(lineage, {node.id for node in lineage.roots[:EDGES_MAX]}, edges_max=0) or ""


def _chart(lineage: Lineage, kept: set[str], edges_max: int = EDGES_MAX) -> str | None:
    """The chart of some nodes; None where Mermaid would refuse it."""
    numbers = {node.id: f"n{number}" for number, node in enumerate(lineage.nodes)}
    edges = [edge for edge in lineage.edges if edge.source_id in kept and edge.target_id in kept]
    left_out = len(lineage.nodes) - len(kept)
    if len(edges) > edges_max and edges_max:
        return None
    lines = ["flowchart LR"]
    lines += [f"  {numbers[node.id]}{_shape(node)}" for node in lineage.nodes if node.id in kept]
    for edge in edges[:edges_max]:
        arrow = ("-.->" if edge.is_dashed else "-->") + (f'|"{edge.how}"|' if edge.how else "")
        lines.append(f"  {numbers[edge.source_id]} {arrow} {numbers[edge.target_id]}")
    if left_out:
        lines.append(f'  more["{left_out} further away are not drawn"]')
    if lineage.truncated_by:
        lines.append(f'  cut["cut by {lineage.truncated_by.lower()}"]')
    lines.append("  classDef hidden stroke-dasharray: 4 4, color: #777777")
    unseen = [numbers[node.id] for node in lineage.nodes if node.id in kept and (node.hidden or node.dropped)]
    if unseen:
        lines.append(f"  class {','.join(unseen)} hidden")
    text = "\n".join(lines) + "\n"
    return text if len(text) <= CHARACTERS_MAX else None


def _shape(node: LineageNode) -> str:
    label = "".join(_ESCAPED.get(character, character) for character in plain(node.label, LABEL_MAX))
    return f'(["{label}"])' if node.distance == 0 else f'["{label}"]'

"""Lineage in the language of Graphviz."""

from __future__ import annotations

from lakewarden.lineage.model import Lineage, plain

LABEL_MAX = 120


def to_dot(lineage: Lineage) -> str:
    """A `digraph` from left to right."""
    lineage = lineage.ordered()
    numbers = {node.id: f"n{number}" for number, node in enumerate(lineage.nodes)}
    lines = [
        "digraph lineage {",
        "  rankdir=LR;",
        '  node [shape=box, style=rounded, fontname="sans-serif"];',
    ]
    for node in lineage.nodes:
        looks = ""
        if node.hidden or node.dropped:
            looks = ', style="rounded,dashed", color=gray'
        elif node.distance == 0:
            looks = ", penwidth=2"
        lines.append(f"  {numbers[node.id]} [label={_quoted(plain(node.label, LABEL_MAX))}{looks}];")
    for edge in lineage.edges:
        marks = ["style=dashed"] if edge.is_dashed else []
        marks += [f"label={_quoted(edge.how)}"] if edge.how else []
        shown = f" [{', '.join(marks)}]" if marks else ""
        lines.append(f"  {numbers[edge.source_id]} -> {numbers[edge.target_id]}{shown};")
    if lineage.truncated_by:
        lines.append(f'  label="cut by {lineage.truncated_by.lower()}";')
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

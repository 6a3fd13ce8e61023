"""Lineage as a tree of lines. An asset that several ways lead to is followed once; further on it is named only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lakewarden.lineage.model import Lineage, LineageEdge, LineageNode, plain

LABEL_MAX = 200
_WAYS = {"upstream": ("made of", True), "downstream": ("used by", False)}
"""What is said above what each direction leads to, and whether that is upstream."""


def to_tree(lineage: Lineage) -> Iterator[str]:
    """Lines: each root, then what it was made of and what was made of it, or the one that was asked for."""
    lineage = lineage.ordered()
    ways = [way for direction, way in _WAYS.items() if lineage.direction in (direction, "both")]
    nodes = {node.id: node for node in lineage.nodes}
    for root in lineage.roots:
        whole = not root.column and len(lineage.roots) > 1
        if whole and not any(list(lineage.around(root.id, upstream=upstream)) for _, upstream in ways):
            # Of a table's columns it is there for what is known of no single one.
            continue
        yield _label(root)
        branches = [
            (title, branch)
            for title, upstream in ways
            if (
                branch := list(
                    _branch(lineage, nodes, root.id, upstream=upstream, indent="   ", told={root.id})
                )
            )
        ]
        for title, branch in branches:
            yield f"  {title}"
            yield from branch
        if not branches:
            yield "  no lineage"
    if lineage.truncated_by:
        yield f"There is more than this: cut by {lineage.truncated_by.lower()}."


def _branch(
    lineage: Lineage,
    nodes: dict[str, LineageNode],
    node_id: str,
    *,
    upstream: bool,
    indent: str,
    told: set[str],
) -> Iterator[str]:
    edges = list(lineage.around(node_id, upstream=upstream))
    steps = list(dict.fromkeys(edge.source_id if upstream else edge.target_id for edge in edges))
    steps.sort(key=lambda step: (nodes[step].hidden, nodes[step].name, nodes[step].column, step))
    for step in steps:
        last = step is steps[-1]
        again = step in told
        more = again and not nodes[step].hidden and any(lineage.around(step, upstream=upstream))
        how = _how(edge for edge in edges if step in edge[:2])
        yield f"{indent}{'└─' if last else '├─'} {_label(nodes[step])}{how}{' … (above)' if more else ''}"
        if not again:
            told.add(step)
            deeper = indent + ("   " if last else "│  ")
            yield from _branch(lineage, nodes, step, upstream=upstream, indent=deeper, told=told)


def _how(edges: Iterable[LineageEdge]) -> str:
    """How a column takes part, in brackets."""
    words = sorted({edge.how for edge in edges} - {""})
    return f"  [{'; '.join(words)}]" if words else ""


def _label(node: LineageNode) -> str:
    label = plain(node.label, LABEL_MAX)
    return label if node.hidden or node.kind == "TABLE" else f"{label}  {node.kind.lower().replace('_', ' ')}"

"""What a statement writes, while it is found, and the answer made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lakewarden_server.lineage.mapping import WHOLE, ColumnUse, said_once
from lakewarden_server.lineage.sql.binding import Binding
from lakewarden_server.lineage.sql.relations import Output, Relation, folded
from lakewarden_server.lineage.sql.strengths import DIRECT, UNKNOWN, Deps, add, subtypes
from lakewarden_server.lineage.sql.traced import Kind, Reason, Source, Traced


@dataclass
class Found:
    """One statement: columns of the target with what each depends on, and what all depend on."""

    kind: Kind
    writes: Source | None = None
    columns: dict[str, Deps] = field(default_factory=dict)
    whole: Deps = field(default_factory=dict)
    reads: dict[Source, None] = field(default_factory=dict)

    def put(self, column: str, deps: Mapping[int, int]) -> None:
        """Adds what a column depends on."""
        add(self.columns.setdefault(column, {}), deps)

    def decide(self, relation: Relation) -> None:
        """Takes over what a relation reads and what its rows depend on."""
        self.reads.update(relation.reads)
        add(self.whole, relation.whole)


def distinct_names(binding: Binding, relation: Relation, target: Source | None) -> list[str]:
    """Names for the outputs of a relation that a new table gets, each once.

    An unnamed one takes the name the catalog has at its position where all others agree with it; else `_col_` and its position.
    """
    columns = binding.columns_of(target) if target is not None else None
    agreed = (
        columns is not None
        and relation.cut is None
        and len(columns) == len(relation.outputs)
        and all(not out.name or folded(out.name) == folded(name) for out, name in _pairs(relation, columns))
    )
    if columns is not None and agreed:
        return list(columns)
    names: list[str] = []
    taken: set[str] = set()
    for place, output in enumerate(relation.outputs):
        name = candidate = output.name or f"_col_{place}"
        suffix = 0
        while folded(candidate) in taken:
            suffix += 1
            candidate = f"{name}_{suffix}"
        taken.add(folded(candidate))
        names.append(candidate)
    return names


def _pairs(relation: Relation, columns: Sequence[str]) -> list[tuple[Output, str]]:
    return list(zip(relation.outputs, columns, strict=True))


def answer(binding: Binding, found: Found, *, uses_max: int) -> Traced:
    """The answer: uses in a fixed order; what holds for every column stands once, under WHOLE."""
    uses: list[ColumnUse[Source]] = []
    for target, deps in [*found.columns.items(), (WHOLE, found.whole)]:
        for leaf, bits in deps.items():
            if leaf != UNKNOWN:
                source, column = binding.leaves[leaf]
                uses += [ColumnUse(target, source, column, *told) for told in subtypes(bits)]
        if len(uses) > uses_max:
            binding.leave_out(Reason.TOO_MANY_USES)
            uses = []
            break
    reads = dict(found.reads)
    reads.update(dict.fromkeys(use.source for use in uses))
    return Traced(
        found.kind,
        tuple(reads),
        found.writes,
        tuple(found.columns),
        tuple(sorted(said_once(uses, found.columns))),
        tuple(column for column, deps in found.columns.items() if not _is_direct(deps)),
        tuple(binding.unresolved),
        reason_of(binding.reasons),
    )


def reason_of(reasons: set[Reason]) -> Reason | None:
    """The reason to tell of several: the first as they are declared."""
    return next((reason for reason in Reason if reason in reasons), None)


def _is_direct(deps: Deps) -> bool:
    return any(bits & DIRECT for bits in deps.values())

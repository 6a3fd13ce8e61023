"""The SELECT list: columns by position, stars opened, names kept as typed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlglot import exp

from lakewarden_server.lineage.sql.binding import Binding
from lakewarden_server.lineage.sql.expressions import gather
from lakewarden_server.lineage.sql.relations import Frame, Output, Place, Rest, folded, rest_of
from lakewarden_server.lineage.sql.strengths import Deps
from lakewarden_server.lineage.sql.traced import Reason

# Generators that give as many columns as their argument has.
_MANY = (exp.Columns, exp.QueryTransform, exp.Inline, exp.Stack, exp.Posexplode)


class Projected(NamedTuple):
    """The outputs of a SELECT; `rest` and `cut` as of a relation."""

    outputs: list[Output]
    rest: Rest | None
    cut: int | None


class _List:
    """A SELECT list as it grows."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.rests: list[Rest] = []
        self.cut: int | None = None

    def unknown(self, rest: Rest) -> None:
        """From here on nobody knows which columns come."""
        self.rests.append(rest)
        if self.cut is None:
            self.cut = len(self.outputs)


def project(binding: Binding, select: Any, frame: Frame, *, merged_first: bool) -> Projected:
    """The columns of a SELECT. Aliases are in sight of what follows them."""
    into = _List()
    for selection in select.expressions:
        star = _star(selection)
        if star is not None:
            _open(binding, selection, star, frame, into, merged_first=merged_first)
        elif not isinstance(selection, exp.Aliases) and selection.find(*_MANY):
            binding.leave_out(Reason.COLUMNS_UNKNOWN)
            into.unknown(Rest())
        else:
            _add(binding, selection, frame, into)
    return Projected(into.outputs, rest_of(into.rests), into.cut)


def _add(binding: Binding, selection: Any, frame: Frame, into: _List) -> None:
    deps: Deps = {}
    gather(binding, selection, frame, deps)
    if isinstance(selection, exp.Aliases):
        into.outputs.extend(Output(*binding.named(name), deps) for name in selection.expressions)
        return
    identifier = _identifier(selection)
    name, exact = binding.named(identifier) if identifier is not None else ("", "")
    into.outputs.append(Output(name, exact, deps))
    if isinstance(selection, exp.Alias | exp.Subquery) and name:
        frame.aliases.setdefault(folded(name), deps)


def _identifier(selection: Any) -> Any:
    """The name an output has by itself: its alias, its column, the last field."""
    while isinstance(selection, exp.Paren):
        selection = selection.this
    if isinstance(selection, exp.Alias):
        return selection.args["alias"]
    if isinstance(selection, exp.Subquery):
        alias = selection.args.get("alias")
        return alias.this if alias else None
    last = selection.expression if isinstance(selection, exp.Dot) else selection.this
    return last if isinstance(selection, exp.Column | exp.Dot) and isinstance(last, exp.Identifier) else None


def _star(selection: Any) -> Any:
    """The star that a selection is, with its EXCEPT, REPLACE and RENAME; None where it is none."""
    if isinstance(selection, exp.Star):
        return selection
    if isinstance(selection, exp.Column) and isinstance(selection.this, exp.Star):
        return selection.this
    if isinstance(selection, exp.Dot) and isinstance(selection.expression, exp.Star):
        return selection.expression
    return None


def _open(
    binding: Binding, selection: Any, star: Any, frame: Frame, into: _List, *, merged_first: bool
) -> None:
    places = frame.visible
    if isinstance(selection, exp.Column | exp.Dot):
        place = None
        if isinstance(selection, exp.Column):
            keys = ("catalog", "db", "table")
            place = binding.place([part for key in keys if (part := selection.args.get(key))], frame)
        if place is None:
            # The fields of a struct, or nothing that is in sight.
            binding.leave_out(Reason.COLUMNS_UNKNOWN)
            into.unknown(Rest())
            return
        places = [place]
    dropped = {folded(column.name) for column in star.args.get("except_") or ()}
    replaced = {folded(each.alias): each.this for each in star.args.get("replace") or ()}
    new_names = {folded(each.this.name): each.args["alias"] for each in star.args.get("rename") or ()}
    merged = frame.merged if isinstance(selection, exp.Star) else {}
    for output in _outputs(places, merged, into, merged_first=merged_first):
        key = folded(output.name)
        if key in dropped:
            continue
        deps = output.deps
        if key in replaced:
            deps = {}
            gather(binding, replaced[key], frame, deps)
        name = binding.named(new_names[key]) if key in new_names else (output.name, output.exact)
        into.outputs.append(Output(*name, deps))


def _outputs(
    places: list[Place], merged: dict[str, Output], into: _List, *, merged_first: bool
) -> Iterator[Output]:
    """The columns of a star in order; where it is not known how they go on, notes that."""
    given = set(merged) if merged_first else set()
    if merged_first:
        yield from merged.values()
    for place in places:
        relation = place.relation
        for position, output in enumerate(relation.outputs):
            if position == relation.cut:
                into.unknown(relation.rest or Rest())
            key = folded(output.name)
            if key in merged:
                if key not in given:
                    given.add(key)
                    yield merged[key]
            else:
                yield output
        if relation.cut is not None and relation.cut >= len(relation.outputs):
            into.unknown(relation.rest or Rest())

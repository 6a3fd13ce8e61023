"""What an allowed plan demands of the engine. Whatever is not understood, or is about something nobody asked for, is a denial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakewarden._duckdb_access import Access, AccessDenied, Function, PlanAnswer, Relation, denial_message
from lakewarden._duckdb_parse import server_fold
from lakewarden._duckdb_rewrite import Rules


@dataclass(frozen=True)
class Demands:
    """Filters and masks of the tables that were asked for, and what views and functions are made of, by folded full name."""

    rules: Mapping[str, Rules]
    views: Mapping[str, Relation]
    functions: Mapping[str, Function]

    def of(self, full_name: str) -> Rules:
        """The rules of a table that was asked for."""
        return self.rules.get(server_fold(full_name), Rules())

    def function(self, full_name: str) -> Function:
        """What a function that was asked for computes. Raises AccessDenied."""
        found = self.functions.get(server_fold(full_name))
        if found is None:
            raise AccessDenied(f"the answer does not say what {full_name} computes")
        return found


NOTHING = Demands({}, {}, {})


def demands(answer: PlanAnswer, accesses: Sequence[Access], *, subject: str | None) -> Demands:
    """What the answer allows under which conditions. Raises AccessDenied for anything but a yes."""
    # Anything but a plain yes is a no: an answer of another release, or a truthy accident.
    if answer.allowed is not True or answer.denials:
        raise AccessDenied(denial_message(subject, answer.denials), denials=answer.denials)
    asked = {server_fold(access.full_name) for access in accesses}
    filters = _by_name(answer, "row_filters", asked)
    masks = _by_name(answer, "column_masks", asked)
    rules = {}
    for name in filters.keys() | masks.keys():
        row_filter, column_masks = filters.get(name, ""), masks.get(name, {})
        if not isinstance(row_filter, str) or not isinstance(column_masks, Mapping):
            raise _not_understood("row_filters or column_masks")
        rules[name] = Rules(row_filter, column_masks)
    return Demands(rules, _by_name(answer, "relations", None), _by_name(answer, "functions", asked))


def _by_name(answer: PlanAnswer, demand: str, asked: set[str] | None) -> dict[str, Any]:
    """One of the answer's mappings by folded name; names must be among those asked for, where that is given."""
    found = getattr(answer, demand, None) or {}
    if not isinstance(found, Mapping):
        raise _not_understood(demand)
    by_name = {server_fold(name): value for name, value in found.items()}
    if len(by_name) < len(found) or (asked is not None and not by_name.keys() <= asked):
        raise _not_understood(demand)
    return by_name


def _not_understood(demand: str) -> AccessDenied:
    return AccessDenied(f"the answer demands {demand} that this engine cannot enforce")

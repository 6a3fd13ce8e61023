"""Writes a Document as a governance file, always in the same form: sorted, and without what has its default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lakewarden.governance.documents import Binding, Document, Grant, Row, Scope, Terms, order
from lakewarden.governance.nouns import NOUNS
from lakewarden.governance.reading import READ_WRITE
from lakewarden.governance.shapes import FORMAT_NUMBER
from lakewarden.governance.toml import write_tables

_KINDS = ("account", *NOUNS)


def write(document: Document) -> str:
    """The text of the file."""
    tables = [] if document.scope is None else [("scope", _scope(document.scope))]
    for noun in NOUNS:
        tables += [(noun, _row(row)) for row in document.of(noun)]
    tables += [("binding", values) for values in _bindings(document)]
    tables += [("grant", values) for values in _grants(document)]
    return write_tables({"format": FORMAT_NUMBER}, tables, single=["scope"])


def _scope(scope: Scope) -> dict[str, Any]:
    values: dict[str, Any] = {"account": scope.account}
    if scope.metastore:
        values["metastore"] = scope.metastore
    if scope.catalogs is not None:
        values["catalogs"] = scope.catalogs
    return values


def _row(row: Row) -> dict[str, Any]:
    noun = NOUNS[row.noun]
    kept = {field.name: row.values[field.name] for field in noun.fields if field.name in row.values}
    return {noun.key: row.name, **kept}


def _bindings(document: Document) -> Iterator[dict[str, Any]]:
    def place(binding: Binding) -> tuple[Any, ...]:
        return _KINDS.index(binding.kind), order(binding.object), order(binding.workspace)

    for binding in sorted(document.bindings.values(), key=place):
        values = {"kind": binding.kind, "object": binding.object, "workspace": binding.workspace}
        yield values | ({} if binding.binding_type == READ_WRITE else {"binding_type": binding.binding_type})


def _grants(document: Document) -> Iterator[dict[str, Any]]:
    """One table for each securable, principal and terms, with all its privileges."""
    together: dict[tuple[str, str, str, Terms], list[str]] = {}
    for grant in sorted(document.grants.values(), key=_grant_order):
        together.setdefault((grant.kind, grant.object, grant.principal, grant.terms), []).append(
            grant.privilege
        )
    for (kind, name, principal, terms), privileges in together.items():
        values: dict[str, Any] = {
            "principal": principal,
            "privileges": sorted(privileges),
            "kind": kind,
            "object": name,
        }
        if terms.expire_time is not None:
            values["expire_time"] = terms.expire_time
        yield values | ({"reason": terms.reason} if terms.reason else {})


def _grant_order(grant: Grant) -> tuple[Any, ...]:
    """Securables in the order of their nouns and names, then principals; grants without an end first."""
    time = grant.terms.expire_time
    return (
        _KINDS.index(grant.kind),
        order(grant.object),
        order(grant.principal),
        "" if time is None else time.isoformat(),
        grant.terms.reason,
        grant.privilege,
    )

"""Reads governance files into a Document, and finds every problem of their form: syntax, unknown keys, types, duplicates."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any, NamedTuple

from lakewarden.governance import lines
from lakewarden.governance.documents import (
    Assertion,
    Binding,
    Document,
    Grant,
    Place,
    Row,
    Scope,
    Terms,
    order,
)
from lakewarden.governance.fields import Field
from lakewarden.governance.nouns import NOUNS
from lakewarden.governance.shapes import FLAG, FORMAT, TEXT, TEXTS, TIME, WORD, fits, normal, said
from lakewarden_policy import name_key, spell_privilege

READ_WRITE, READ_ONLY = "READ_WRITE", "READ_ONLY"
BINDING_TYPES = (READ_WRITE, READ_ONLY)
EXPECTED = {"allow": True, "deny": False}

_GRANT = {"principal": TEXT, "privileges": TEXTS, "kind": TEXT, "object": TEXT}
_ASSERT = {"principal": TEXT, "privilege": TEXT, "kind": TEXT, "object": TEXT, "expected": TEXT}
_BINDING = {"kind": TEXT, "object": TEXT, "workspace": TEXT}
_SINGLE = ("", "scope")


class Shape(NamedTuple):
    """The keys a table may have, each with the shape of its value, and those it must have."""

    keys: Mapping[str, str]
    required: Sequence[str]


def _shapes() -> dict[str, Shape]:
    """Every table a file may hold; the top level has no name."""
    shapes = {
        "": Shape({"format": FORMAT}, ()),
        "scope": Shape({"account": FLAG, "metastore": TEXT, "catalogs": TEXTS}, ()),
        "grant": Shape({**_GRANT, "expire_time": TIME, "reason": TEXT}, tuple(_GRANT)),
        "binding": Shape({**_BINDING, "binding_type": WORD}, tuple(_BINDING)),
        "assert": Shape({**_ASSERT, "workspace": TEXT, "reason": TEXT}, tuple(_ASSERT)),
    }
    for noun in NOUNS.values():
        keys = {noun.key: TEXT, **{field.name: field.shape for field in noun.fields}}
        shapes[noun.name] = Shape(keys, (noun.key,))
    return shapes


TABLES: Mapping[str, Shape] = _shapes()


class Problem(NamedTuple):
    """Something wrong in the files, and where."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class _Table(NamedTuple):
    """One table of a file with its place and the places of its keys."""

    name: str
    values: Mapping[str, Any]
    file: str
    found: lines.Table

    def place(self, key: str = "") -> Place:
        return Place(self.file, self.found.line_of(key))


def read_files(paths: Iterable[Path]) -> tuple[Document, list[Problem]]:
    """One document of all files together, as far as it can be understood, and every problem of its form."""
    document, problems = Document(), []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
            values = tomllib.loads(text)
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(Place(str(path)), f"cannot be read: {error}"))
        except tomllib.TOMLDecodeError as error:
            problems.append(Problem(Place(str(path)), f"is no TOML: {error}"))
        else:
            for table in _tables(str(path), text, values, problems):
                problems += _check(table) or _take(table, document)
    return document, problems


def _tables(file: str, text: str, values: Mapping[str, Any], problems: list[Problem]) -> Iterator[_Table]:
    """The tables of a file; a key at the top level that is no table at all goes with the top level."""
    found = lines.find_tables(text)
    top = {key: value for key, value in values.items() if not _is_tables(value)}
    yield _Table("", top, file, found[0])
    for name, value in values.items():
        if not _is_tables(value):
            continue
        headers = [table for table in found if table.name == name]
        line = headers[0].line if headers else found[0].line_of(name)
        single = isinstance(value, Mapping)
        if name not in TABLES:
            problems.append(Problem(Place(file, line), _unknown(f"[{name}]", name, [*filter(None, TABLES)])))
        elif single != (name in _SINGLE):
            written = f"[{name}]" if name in _SINGLE else f"[[{name}]]"
            problems.append(Problem(Place(file, line), f"write {written}"))
        else:
            for number, row in enumerate([value] if single else value):
                place = headers[number] if number < len(headers) else lines.Table(name, line)
                yield _Table(name, row, file, place)


def _is_tables(value: object) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)
    )


def _unknown(what: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"{what} is not known: " + (
        f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
    )


def _check(table: _Table) -> list[Problem]:
    """What is wrong with the keys of one table."""
    shape = TABLES[table.name]
    found = [
        Problem(table.place(key), _unknown(key, key, list(shape.keys)))
        for key in table.values
        if key not in shape.keys
    ]
    found += [
        Problem(table.place(key), f"{key} must be {said(shape.keys[key])}")
        for key, value in table.values.items()
        if key in shape.keys and not fits(shape.keys[key], value)
    ]
    heading = f"[{table.name}]" if table.name in _SINGLE else f"[[{table.name}]]"
    found += [
        Problem(table.place(), f"{heading} needs {key}")
        for key in shape.required
        if table.values.get(key) in (None, "", [])
    ]
    return found


def _take(table: _Table, document: Document) -> list[Problem]:
    """Add a table that is well-formed to the document."""
    if table.name == "scope":
        return _take_scope(table, document)
    if table.name == "grant":
        return _take_grants(table, document)
    if table.name == "binding":
        return _take_binding(table, document)
    if table.name == "assert":
        return _take_assertion(table, document)
    return _take_row(table, document) if table.name else []


def _take_scope(table: _Table, document: Document) -> list[Problem]:
    catalogs = table.values.get("catalogs")
    scope = Scope(
        account=table.values.get("account", False),
        metastore=table.values.get("metastore", ""),
        catalogs=None if catalogs is None else tuple(sorted(catalogs, key=order)),
    )
    if document.scope not in (None, scope):
        return [Problem(table.place(), "[scope] is another one than in the files before")]
    if catalogs is not None and not scope.metastore:
        return [Problem(table.place("catalogs"), "[scope] needs metastore: catalogs of which one?")]
    document.scope = scope
    return []


def _take_row(table: _Table, document: Document) -> list[Problem]:
    noun = NOUNS[table.name]
    values = {field.name: _kept(field, table.values[field.name]) for field in noun.fields
              if field.name in table.values}  # fmt: skip
    kept = {field.name: values[field.name] for field in noun.fields
            if field.name in values and values[field.name] != field.default}  # fmt: skip
    row = Row(noun.name, table.values[noun.key], kept, table.place(noun.key))
    before = document.rows.get(row.identity)
    if before is not None:
        return [Problem(row.place, f"{noun.label} {row.name} is described already at {before.place}")]
    document.add(row)
    return []


def _kept(field: Field, value: Any) -> Any:
    """The value in the form in which values are compared; members have no order of their own."""
    return tuple(sorted(value, key=order)) if field.shape == TEXTS else normal(field.shape, value)


def _take_grants(table: _Table, document: Document) -> list[Problem]:
    values, problems = table.values, []
    time = values.get("expire_time")
    terms = Terms(None if time is None else time.astimezone(UTC), values.get("reason", ""))
    for privilege in map(spelt, values["privileges"]):
        kind, name = values["kind"].lower(), values["object"]
        grant = Grant(values["principal"], privilege, kind, name, terms, table.place())
        before = document.grants.get(grant.identity)
        if before is not None:
            problems.append(
                Problem(
                    grant.place,
                    f"{privilege} on {kind} {name} is granted to {grant.principal} already at {before.place}",
                )
            )
        document.add_grants([grant])
    return problems


def _take_binding(table: _Table, document: Document) -> list[Problem]:
    values = table.values
    binding_type = normal(WORD, values.get("binding_type", READ_WRITE))
    if binding_type not in BINDING_TYPES:
        return [Problem(table.place("binding_type"), f"binding_type must be {' or '.join(BINDING_TYPES)}")]
    binding = Binding(
        values["kind"].lower(), values["object"], values["workspace"], binding_type, table.place()
    )
    before = document.bindings.get(binding.identity)
    if before is not None:
        told = f"{binding.kind} {binding.object} is bound to {binding.workspace} already at {before.place}"
        return [Problem(binding.place, told)]
    document.add_bindings([binding])
    return []


def _take_assertion(table: _Table, document: Document) -> list[Problem]:
    values = table.values
    if values["expected"] not in EXPECTED:
        return [Problem(table.place("expected"), 'expected must be "allow" or "deny"')]
    document.assertions.append(
        Assertion(
            values["principal"],
            spelt(values["privilege"]),
            values["kind"].lower(),
            values["object"],
            EXPECTED[values["expected"]],
            values.get("workspace", ""),
            values.get("reason", ""),
            table.place(),
        )
    )
    return []


def spelt(privilege: str) -> str:
    """The stored spelling of a privilege: upper case, with underscores."""
    return spell_privilege(privilege)


def same_name(one: str, other: str) -> bool:
    """Whether the server takes two names for one."""
    return name_key(one) == name_key(other)

"""What the values of fields look like: how they are checked in a file, taken from a message, and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from lakewarden_policy import name_key

TEXT, FLAG, WORD, TIME, FORMAT = "text", "flag", "word", "time", "format"
PRINCIPAL, REFERENCE, TEXTS, NAMES, PAIRS = "principal", "reference", "texts", "names", "pairs"
COLUMNS, VIEW_COLUMNS, PARAMETERS = "columns", "view_columns", "parameters"
ROW_FILTER, MASKS, SECRET, SECRETS = "row_filter", "masks", "secret", "secrets"

FORMAT_NUMBER: Final = 1


class Record(NamedTuple):
    """A value with parts of its own: the shape of each, those it needs, and whether it comes in a list."""

    parts: Mapping[str, str]
    needed: tuple[str, ...]
    many: bool
    example: str


RECORDS: Final[Mapping[str, Record]] = {
    COLUMNS: Record(
        {"name": TEXT, "type_text": TEXT, "required": FLAG, "comment": TEXT},
        ("name", "type_text"),
        True,
        '{name = "id", type_text = "BIGINT"}',
    ),
    VIEW_COLUMNS: Record(
        {"name": TEXT, "type_text": TEXT, "comment": TEXT}, ("name",), True, '{name = "id", comment = "key"}'
    ),
    PARAMETERS: Record(
        {"name": TEXT, "type_text": TEXT, "comment": TEXT},
        ("name", "type_text"),
        True,
        '{name = "ssn", type_text = "VARCHAR"}',
    ),
    ROW_FILTER: Record(
        {"function": TEXT, "columns": NAMES},
        ("function", "columns"),
        False,
        '{function = "main.hr.mine", columns = ["region"]}',
    ),
    MASKS: Record(
        {"column": TEXT, "function": TEXT, "using_columns": NAMES},
        ("column", "function"),
        True,
        '{column = "ssn", function = "main.hr.masked"}',
    ),
    SECRET: Record({"env": TEXT, "file": TEXT}, (), False, '{env = "NAME"} or {file = "PATH"}'),
}

_SAID: Final[Mapping[str, str]] = {
    FLAG: "true or false",
    TEXTS: "a list of texts",
    NAMES: "a list of texts",
    PAIRS: "a table of texts",
    SECRETS: 'a table of secrets, each such as {env = "NAME"} or {file = "PATH"}',
    TIME: "a time with its offset, such as 2027-01-31T00:00:00Z",
    FORMAT: f"the number {FORMAT_NUMBER}",
}
_CHECKS: Final[Mapping[str, Callable[[Any], bool]]] = {
    FLAG: lambda value: isinstance(value, bool),
    TEXTS: lambda value: _is_texts(value),
    NAMES: lambda value: _is_texts(value),
    PAIRS: lambda value: isinstance(value, Mapping) and all(isinstance(part, str) for part in value.values()),
    SECRETS: lambda value: isinstance(value, Mapping) and all(fits(SECRET, part) for part in value.values()),
    TIME: lambda value: isinstance(value, datetime) and value.tzinfo is not None,
    FORMAT: lambda value: value == FORMAT_NUMBER and not isinstance(value, bool),
}


def said(shape: str) -> str:
    """What a value of a shape has to be, in words."""
    record = RECORDS.get(shape)
    if record is None:
        return _SAID.get(shape, "a text")
    return f"a list such as [{record.example}]" if record.many else f"such as {record.example}"


def fits(shape: str, value: Any) -> bool:
    """Whether a value read from a file has the shape."""
    record = RECORDS.get(shape)
    if record is None:
        return _CHECKS.get(shape, lambda other: isinstance(other, str))(value)
    if record.many:
        return isinstance(value, list) and all(_is_record(record, element) for element in value)
    return _is_record(record, value) and (shape != SECRET or len(value) == 1)


def normal(shape: str, value: Any) -> Any:
    """The one form in which values are kept and compared; an empty list is `()`."""
    record = RECORDS.get(shape)
    if record is not None:
        return [_parts(record, each) for each in value] or () if record.many else _parts(record, value)
    if shape == WORD:
        return value.strip().upper()
    if shape == NAMES:
        return tuple(value)
    return dict(sorted(value.items())) if shape in (PAIRS, SECRETS) else value


def taken(shape: str, value: Any) -> Any:
    """The value of a message's field in that form; an absent record is None."""
    record = RECORDS.get(shape)
    if record is None:
        return dict(sorted(value.items())) if shape == PAIRS else tuple(value) if shape == NAMES else value

    def plain(message: Any) -> dict[str, Any]:
        return {name: taken(part, getattr(message, name)) for name, part in record.parts.items()}

    return normal(shape, [plain(each) for each in value] if record.many else plain(value))


def same(shape: str, one: Any, other: Any) -> bool:
    """Whether two values say the same. Secrets are never compared: the server does not tell its own."""
    if shape in (SECRET, SECRETS):
        return True
    if shape == REFERENCE:
        return name_key(one) == name_key(other)
    if shape in (ROW_FILTER, MASKS):
        return bool(_folded(one) == _folded(other))
    return bool(one == other)


def _folded(value: Any) -> Any:
    """A record of names as the server compares names."""
    if isinstance(value, str):
        return name_key(value)
    if isinstance(value, Mapping):
        return {key: _folded(part) for key, part in value.items()}
    return [_folded(part) for part in value] if isinstance(value, (list, tuple)) else value


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) and part for part in value)


def _is_record(record: Record, value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and set(record.needed) <= set(value) <= set(record.parts)
        and all(fits(record.parts[name], part) for name, part in value.items())
    )


def _parts(record: Record, value: Mapping[str, Any]) -> dict[str, Any]:
    """The parts in their order, without those that are empty and not needed."""
    found: dict[str, Any] = {}
    for name, shape in record.parts.items():
        part = normal(shape, value.get(name, ""))
        if name == "type_text":
            part = part.strip()
        if part or name in record.needed:
            found[name] = list(part) if shape == NAMES else part
    return found

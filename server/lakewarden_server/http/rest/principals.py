"""Principals as the Databricks API names them: in a field of their own by what they are, which their names tell (one namespace, semantics 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from lakewarden_server.http.rest.errors import Refused
from lakewarden_server.http.rest.exchanges import read_text

NUMBER_DIGITS_MAX = 39
"""Of a number of 128 bits."""
_FIELDS = ("user_name", "group_name", "service_principal_name")


def is_application_id(name: str) -> bool:
    """Whether a name is a service principal's; no group has such a one."""
    try:
        return str(UUID(name)) == name.lower()
    except ValueError:
        return False


def named(name: str) -> dict[str, str]:
    """A principal of that name."""
    return {_field(name): name}


def name_in(record: Mapping[str, Any]) -> str:
    """The name in a record that names one principal. Raises `Refused`."""
    given = {field: read_text(record, field) for field in _FIELDS if record.get(field)}
    if len(given) != 1:
        raise Refused(f"access_control_list: each entry has one of {', '.join(_FIELDS)}")
    field, name = next(iter(given.items()))
    if _field(name) != field or name.startswith("id/"):
        raise Refused(f"there is no {field} {name[:255]!r}", status=404, error_code="RESOURCE_DOES_NOT_EXIST")
    return name


def number_of(principal_id: str) -> int | None:
    """An id as the number this API has in its place: that of the UUID's 128 bits; None for a group of the system, which has no UUID."""
    try:
        return UUID(principal_id).int
    except ValueError:
        return None


def id_of(text: str) -> str:
    """The id that a path says as itself or as that number."""
    is_number = text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS_MAX
    return str(UUID(int=int(text))) if is_number and int(text) < 1 << 128 else text


def _field(name: str) -> str:
    if "@" in name:
        return "user_name"
    return "service_principal_name" if is_application_id(name) else "group_name"

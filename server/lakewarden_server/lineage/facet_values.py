"""Reading values out of facets: each of the wanted type, or the facet is wrong with a reason."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from lakewarden_server.lineage.names import check_name

Said = Any
"""What a facet says: JSON of one spelling, so that equal statements are equal values."""

TEXT_CHARACTERS_MAX: Final = 1_048_576
V = TypeVar("V")


class FacetInvalid(ValueError):
    """A facet that does not say what its schema demands; the message is the reason code."""


def need(owner: Any, field: str, kind: type[V]) -> V:
    """The value of a field that has to be there. Raises `FacetInvalid`."""
    if not isinstance(owner, dict):
        raise FacetInvalid("FACET_NOT_OBJECT")
    value = owner.get(field)
    if value is None:
        raise FacetInvalid("FIELD_MISSING")
    if not isinstance(value, kind):
        raise FacetInvalid("FIELD_INVALID")
    return value


def text(owner: Any, field: str, default: str | None = None) -> str:
    """A text, or the default where there is none. Raises `FacetInvalid`."""
    if default is not None and isinstance(owner, dict) and owner.get(field) is None:
        return default
    found = need(owner, field, str)
    if len(found) > TEXT_CHARACTERS_MAX:
        raise FacetInvalid("TOO_LONG")
    return found


def named(owner: Any, field: str) -> str:
    """A text that names something. Raises `FacetInvalid` or `NameInvalid`."""
    return check_name(need(owner, field, str))


def listed(owner: Any, field: str, count_max: int) -> list[Any]:
    """A list, empty where there is none. Raises `FacetInvalid`."""
    if isinstance(owner, dict) and owner.get(field) is None:
        return []
    found = need(owner, field, list)
    if len(found) > count_max:
        raise FacetInvalid("TOO_MANY")
    return found


def mapped(owner: Any, field: str, count_max: int) -> dict[str, Any]:
    """A mapping by name, empty where there is none. Raises `FacetInvalid`."""
    if isinstance(owner, dict) and owner.get(field) is None:
        return {}
    found = need(owner, field, dict)
    if len(found) > count_max:
        raise FacetInvalid("TOO_MANY")
    return found

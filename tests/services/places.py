"""How tests create each kind that stands under a metastore beside catalogs, with as little as it needs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from lakewarden import Client

ROLE = {"role_arn": "arn:aws:iam::1:role/lake"}
KEY = {"access_key_id": "AKIA", "secret_access_key": "s3cr3t"}
_numbers = itertools.count(1)


def lake(client: Client, _: str = "") -> str:
    """Makes the storage credential `lake` where it is missing; a container's prefix: none."""
    if "lake" not in {row.name for row in client.storage_credentials.list()}:
        client.storage_credentials.create("lake", "aws_iam_role", ROLE)
    return ""


def fresh_url() -> str:
    """A place no other test uses."""
    return f"s3://bucket/place{next(_numbers)}"


CREATE: Mapping[str, Callable[..., Any]] = {
    "storage_credentials": lambda resource, name, **values: resource.create(name, "aws_iam_role", ROLE, **values),
    "service_credentials": lambda resource, name, **values: resource.create(name, "aws_iam_role", ROLE, **values),
    "external_locations": lambda resource, name, **values: resource.create(name, fresh_url(), "lake", **values),
    "connections": lambda resource, name, **values: resource.create(name, "POSTGRESQL", **values),
    "shares": lambda resource, name, **values: resource.create(name, **values),
    "recipients": lambda resource, name, **values: resource.create(name, **values),
    "providers": lambda resource, name, **values: resource.create(name, recipient_profile="{}", **values),
    "external_metadata": lambda resource, name, **values: resource.create(name, "TABLEAU", "dashboard", **values),
}  # fmt: skip


class Shorthand:
    """A resource whose `create` needs only a name; all else is the resource's own."""

    def __init__(self, resource: Any, create: Callable[..., Any]) -> None:
        self._resource = resource
        self._create = create

    def create(self, name: str, **values: Any) -> Any:
        return self._create(self._resource, name, **values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._resource, name)

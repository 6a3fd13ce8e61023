"""The facts a snapshot is built of, each a row of the store; what a decision rests on and nothing else."""

from __future__ import annotations

from typing import Final, NamedTuple

READ_WRITE: Final = "READ_WRITE"
READ_ONLY: Final = "READ_ONLY"
BINDING_TYPES: Final = (READ_WRITE, READ_ONLY)


class Head(NamedTuple):
    """Which state of which history a snapshot shows (DESIGN 5.4)."""

    epoch: str
    revision: int
    nonce: str


class Principal(NamedTuple):
    """A user, group or service principal; ``name`` is email, group name or application id.

    ``activation`` counts how often it was activated again: what somebody proved before that is over.
    """

    id: str
    kind: str
    name: str
    name_key: str
    active: bool
    activation: int = 0


class Membership(NamedTuple):
    """``member_id`` belongs directly to ``group_id``."""

    group_id: str
    member_id: str


class Securable(NamedTuple):
    """A governed object; for a WORKSPACE ``metastore_id`` is the attached metastore or None.

    ``workspace_id`` is that of an object of a workspace, whatever folder it lies in; None for all other kinds.
    """

    id: str
    kind: str
    parent_id: str | None
    metastore_id: str | None
    name: str
    name_key: str
    owner_id: str | None
    revision: int
    workspace_id: str | None = None


class Deleted(NamedTuple):
    """A deleted table, as a DELETED_TABLE whose key is its id, and until when it can be restored (seconds since the epoch)."""

    securable: Securable
    expire_time: float


class Grant(NamedTuple):
    """A stored grant; ``privilege`` in its stored spelling, ``expire_time`` in seconds since the epoch."""

    securable_id: str
    principal_id: str
    privilege: str
    expire_time: float | None = None


class Binding(NamedTuple):
    """A workspace an isolated object is bound to; ``type`` is READ_WRITE or READ_ONLY."""

    securable_id: str
    workspace_id: str
    type: str


class Reference(NamedTuple):
    """Something a view or function uses by name: a relation with SELECT, a function with EXECUTE."""

    object_id: str
    privilege: str
    full_name: str


class SqlFunction(NamedTuple):
    """The body of a function: an SQL expression over its parameters."""

    id: str
    parameters: tuple[str, ...]
    body: str


class ViewDefinition(NamedTuple):
    """The query of a view, every name in full; ``columns`` is empty where they are those of the query."""

    id: str
    text: str
    dialect: str
    columns: tuple[str, ...]


class RowFilter(NamedTuple):
    """The function that says which rows of a table are shown, and the columns it is called with."""

    table_id: str
    function_id: str
    columns: tuple[str, ...]


class ColumnMask(NamedTuple):
    """The function shown in place of a column, called with that column and then with ``using``."""

    table_id: str
    column: str
    function_id: str
    using: tuple[str, ...]


class Location(NamedTuple):
    """Where an external location is: its URL in the one canonical spelling, without a slash at its end, and what reaches it."""

    securable_id: str
    url: str
    credential_id: str | None = None
    read_only: bool = False


class Token(NamedTuple):
    """A credential: kind PAT, BOOTSTRAP or CLIENT_SECRET, ``expire_time`` in seconds since the epoch."""

    id: str
    principal_id: str
    digest: bytes
    kind: str
    expire_time: float
    workspace_id: str | None


CLIENT_CERTIFICATES: Final = "urn:lakewarden:client-certificates"
"""The issuer of the policies whose subject is the URI of a client certificate."""


class FederationPolicy(NamedTuple):
    """Which tokens of an identity provider stand for one principal, or without ``principal_id`` for the users their claim names.

    One of the issuer ``CLIENT_CERTIFICATES`` is about certificates of that ``subject`` instead.
    """

    id: str
    principal_id: str | None
    issuer: str
    audiences: tuple[str, ...]
    subject_claim: str
    subject: str
    jwks: str


class IpAccessList(NamedTuple):
    """An enabled list of networks: ALLOW or BLOCK, of the account or the workspace ``scope_id`` names."""

    id: str
    scope_id: str
    list_type: str
    ip_addresses: tuple[str, ...]


class Row(NamedTuple):
    """One policy row as Casbin sees it: this principal holds this act on this object."""

    principal_id: str
    object_id: str
    act: str


class Located(NamedTuple):
    """How far a full name could be followed: the object, or the deepest container found and the kind missing in it."""

    securable: Securable | None
    container: Securable | None
    missing_kind: str | None

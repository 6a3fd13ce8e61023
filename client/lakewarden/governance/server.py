"""Reads a server's state as a Document: what `export` writes, and what `diff` and `apply` compare files with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

from lakewarden._errors import FailedPrecondition, NotFound, PermissionDenied
from lakewarden.governance.checking import inside
from lakewarden.governance.documents import (
    SERVICE_PRINCIPAL_PREFIX,
    Binding,
    Document,
    Grant,
    Identity,
    Row,
    Scope,
    Terms,
    identity,
    in_catalog,
    of_account,
    order,
)
from lakewarden.governance.fields import ISOLATION, Noun, values_of
from lakewarden.governance.nouns import NOUNS
from lakewarden.governance.reading import READ_WRITE, same_name
from lakewarden_policy import InvalidName, name_key, validate_application_id

if TYPE_CHECKING:
    from lakewarden._client import Client


class Principals:
    """How this server names its principals, and how files do: they differ for service principals.

    A file knows a service principal by its display name, because another server gives it another application id.
    """

    def __init__(self, client: Client) -> None:
        """Read the service principals the caller may see."""
        self._names: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        for message in client.service_principals.list():
            self.add(message.name, message.display_name)

    def add(self, application_id: str, display_name: str) -> None:
        """Remember one."""
        self._names[application_id] = display_name
        self._ids[display_name] = application_id

    def in_files(self, name: str) -> str:
        """The name a file uses."""
        known = self._names.get(name)
        return name if known is None else SERVICE_PRINCIPAL_PREFIX + known

    def on_server(self, name: str) -> str:
        """The name a call uses. Raises FailedPrecondition for a service principal that does not exist."""
        if not name.startswith(SERVICE_PRINCIPAL_PREFIX):
            return name
        display_name = name.removeprefix(SERVICE_PRINCIPAL_PREFIX)
        if display_name not in self._ids:
            raise FailedPrecondition(f"there is no service principal {display_name!r} on the server")
        return self._ids[display_name]

    def application_id(self, display_name: str) -> str:
        """The application id of a display name."""
        return self.on_server(SERVICE_PRINCIPAL_PREFIX + display_name)

    def refuse_ambiguous(self) -> None:
        """Raises FailedPrecondition unless every service principal has a display name of its own."""
        counted = Counter(self._names.values())
        wrong = sorted(id for id, name in self._names.items() if not name or counted[name] > 1)
        if wrong:
            raise FailedPrecondition(
                f"files name service principals by display name, but {', '.join(wrong)} have none or share one. "
                f"Name each: lakewarden service-principal update {wrong[0]} --display-name NAME"
            )


class ServerReader:
    """Reads the part of a server that a scope covers, as far as the caller may see it."""

    def __init__(self, client: Client, scope: Scope) -> None:
        # Account objects are read outside of any workspace: the one to work from may not exist yet.
        self._account = client.with_workspace("")
        self._client = client
        self._scope = scope
        self.principals = Principals(self._account)
        self._routes: dict[Identity, Client] = {}

    def client_for(self, kind: str, name: str) -> Client:
        """The client to call about an object: outside of any workspace for the account's, from a bound one where it is isolated."""
        if of_account(kind):
            return self._account
        anchor = identity("catalog", name.partition(".")[0]) if in_catalog(kind) else identity(kind, name)
        return self._routes.get(anchor, self._client)

    def read(self, *, contents: bool = True) -> Document:
        """The document; without `contents` only what belongs to the account."""
        self.principals.refuse_ambiguous()
        document = Document(scope=self._scope)
        if self._scope.account:
            self._read_account(document)
        if contents and (self._scope.metastore or self._scope.catalogs is not None):
            for noun in NOUNS.values():
                # What lies in no catalog may be left out, and what lies in one is told by its name.
                if not noun.of_account and not noun.inside and (noun.name == "catalog" or self._has_places()):
                    self._read_below(document, noun, "")
        return document

    def _has_places(self) -> bool:
        return self._scope.catalogs is None or self._scope.places

    def _read_account(self, document: Document) -> None:
        document.add_grants(self._grants("account", "account"))
        for noun in NOUNS.values():
            if noun.of_account:
                for message in noun.list(self._account, ""):
                    self._take(document, noun, message)

    def _read_below(self, document: Document, noun: Noun, parent: str) -> None:
        for message in noun.list(self.client_for(noun.inside, parent) if parent else self._client, parent):
            row = self._take(document, noun, message)
            if row is None:
                continue
            for inner in NOUNS.values():
                if inner.inside == noun.name:
                    self._read_below(document, inner, row.name)

    def _take(self, document: Document, noun: Noun, message: Any) -> Row | None:
        """Add the object with its grants, unless the server keeps it itself or the scope leaves it out."""
        name = getattr(message, noun.key)
        if getattr(message, "system", False) or not inside(self._scope, noun.name, name):
            return None
        values = values_of(noun, message)
        if "owner" in values:
            values["owner"] = self.principals.in_files(values["owner"])
            if _is_id(values["owner"]):
                # It was deleted: no file can give it back what it owned.
                del values["owner"]
        for field in noun.fields:
            if field.collection is not None:
                names = field.collection.read(self.client_for(noun.name, name), name)
                found = sorted(map(self.principals.in_files, names), key=order)
                values |= {field.name: tuple(found)} if found else {}
        if ISOLATION in noun.fields:
            values |= self._read_bindings(document, noun.name, name)
        row = Row(noun.name, name, values, etag=message.etag)
        document.add(row)
        if not noun.is_principal:
            document.add_grants(self._grants(noun.name, name))
        return row

    def _read_bindings(self, document: Document, kind: str, name: str) -> dict[str, str]:
        """Add the bindings of a securable and return its isolation, as a field of its row where it is not the default.

        Finds a workspace to work on it from. Raises PermissionDenied when the caller is assigned to none: its content
        would look empty.
        """
        try:
            found = self._client.workspace_bindings.get(kind, name)
        except PermissionDenied:
            # Bindings are the owner's business. Whoever sees the object without being that is in a bound workspace.
            return {}
        bindings = [
            Binding(kind, name, each.workspace, _enum_name(each, "binding_type")) for each in found.bindings
        ]
        document.add_bindings(bindings)
        mode = _enum_name(found, ISOLATION.name)
        if mode == ISOLATION.default:
            return {}
        self._find_way(kind, name, [each.workspace for each in bindings if each.binding_type == READ_WRITE])
        return {ISOLATION.name: mode}

    def _find_way(self, kind: str, name: str, usable: Sequence[str]) -> None:
        """Settle from which workspace to call about an isolated securable, of those bound to it with READ_WRITE.

        A read-only workspace shows no grants but the caller's own: listing all of them needs MANAGE.
        """
        if any(same_name(workspace, self._client.workspace) for workspace in usable):
            return
        for workspace in usable:
            client = self._client.with_workspace(workspace)
            if _may_enter(client):
                self._routes[identity(kind, name)] = client
                return
        raise PermissionDenied(
            f"{kind} {name} is isolated from workspace {self._client.workspace}, and you are assigned to none "
            f"it is bound to with READ_WRITE ({', '.join(usable) or 'there is none'})"
        )

    def _grants(self, kind: str, name: str) -> Iterator[Grant]:
        for assignment in self.client_for(kind, name).grants.list(kind, name):
            principal = self.principals.in_files(assignment.principal)
            for held in assignment.grants:
                if not held.expired:
                    yield Grant(principal, held.privilege, kind, name, _terms(held))

    def require_whole(self, *, contents: bool = True) -> None:
        """Raises PermissionDenied when the caller would see only part of what the scope covers."""
        own = self._own_names()
        if self._scope.account and not self._holds(own, "ADMIN", "account", "account"):
            raise _partial("the account", "an account admin")
        metastore = self._scope.metastore
        if not contents or not metastore or self._owns(own, self._account.metastores, metastore):
            return
        if self._scope.catalogs is None:
            raise _partial(f"metastore {metastore}", "the owner of the metastore")
        for catalog in self._scope.catalogs:
            manages = self._holds(own, "MANAGE", "catalog", catalog)
            if not manages and not self._owns(own, self._client.catalogs, catalog):
                raise _partial(f"catalog {catalog}", "its owner, or the owner of the metastore,")

    def _holds(self, own: Collection[str], privilege: str, kind: str, name: str) -> bool:
        """Whether one of the caller's names was granted a privilege; everybody may see their own grants."""
        try:
            held = [
                row
                for row in self.client_for(kind, name).grants.list(kind, name)
                if name_key(row.principal) in own
            ]
        except (PermissionDenied, NotFound):
            return False
        return any(privilege in row.privileges for row in held)

    def _owns(self, own: Collection[str], resource: Any, name: str) -> bool:
        try:
            return name_key(resource.get(name).owner) in own
        except PermissionDenied:
            return False
        except NotFound:
            # Nothing of it can be hidden.
            return True

    def _own_names(self) -> set[str]:
        session = self._account.session.get()
        return {name_key(name) for name in (session.principal, *session.groups)}


def _may_enter(client: Client) -> bool:
    """Whether the caller is assigned to the client's workspace; the session names it only then."""
    try:
        return bool(client.session.get().workspace)
    except PermissionDenied:
        return False


def _enum_name(message: Any, name: str) -> str:
    """The value of an enum field by its name, without the prefix that all names of the enum have."""
    described = message.DESCRIPTOR.fields_by_name[name].enum_type
    value: str = described.values_by_number[getattr(message, name)].name
    return value.removeprefix(f"{name.upper()}_")


def _terms(held: Any) -> Terms:
    ends = held.expire_time.ToDatetime(UTC) if held.HasField("expire_time") else None
    return Terms(ends, held.reason)


def _partial(what: str, who: str) -> PermissionDenied:
    return PermissionDenied(f"you would see only part of {what}: ask {who} to do this")


def _is_id(name: str) -> bool:
    """Whether it is the id of a principal, which stands where one has no name any more; a group's name may have no such form."""
    try:
        validate_application_id(name)
    except InvalidName:
        return False
    return True


def whole_scope(client: Client, catalogs: tuple[str, ...]) -> Scope:
    """The scope of an export: the account and the metastore of the calling workspace, or some catalogs of it alone."""
    metastore = client.session.get().metastore
    if not catalogs:
        return Scope(account=True, metastore=metastore)
    if not metastore:
        raise FailedPrecondition("name a workspace that is attached to the metastore of the catalogs")
    names = tuple(sorted({client.catalogs.get(name).full_name for name in catalogs}, key=order))
    return Scope(metastore=metastore, catalogs=names)

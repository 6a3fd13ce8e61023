"""Random changes of everything a snapshot holds, one revision at a time, as services make them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from lakewarden_policy import ACCOUNT_ID
from lakewarden_server.entities import (
    WORKSPACE_OBJECTS,
    ColumnMask,
    ExternalLocation,
    FederationPolicy,
    Function,
    Grant,
    GroupMember,
    Principal,
    RowFilter,
    Securable,
    SecurableReference,
    StorageCredential,
    Token,
    View,
    Workspace,
    WorkspaceBinding,
)
from lakewarden_server.storage import Database, WriteUnit
from storage.random_networks import list_addresses
from storage.worlds import ACTOR, catalog, committed, metastore, schema, table, user, writing

PRIVILEGES = ("USE_CATALOG", "USE_SCHEMA", "SELECT", "MODIFY", "BROWSE", "MANAGE", "USER", "CAN_RUN")
BELOW = {"METASTORE": catalog, "CATALOG": schema, "SCHEMA": table}
Change = Callable[["Walk", WriteUnit], None]


class Walk:
    """A database and the seed of what happens to it. `step` is one revision of one to four changes, but those it is `without`."""

    def __init__(self, database: Database, seed: int, *, without: tuple[Change, ...] = ()) -> None:
        self.database = database
        self.changes = [change for change in CHANGES if change not in without]
        self.rng = random.Random(seed)
        self.done: set[str] = set()
        self._numbers = itertools.count(1)
        owner = user("owner@example.com", id=self.id())
        store = self.metastore(owner, "m")
        main = catalog(store, "main", id=self.id())
        inside = schema(main, "inside", id=self.id())
        tables = [table(inside, f"t{number}", id=self.id()) for number in range(3)]
        committed(database, owner, store, main, inside, *tables)

    def step(self) -> int:
        """Changes something and returns the revision that made."""
        with writing(self.database) as uow:
            for _ in range(self.rng.choice((1, 1, 2, 4))):
                change = self.rng.choice(self.changes)
                change(self, uow)
                self.done.add(change.__name__)
                # Flushed one by one, so that a revision also has several rows of one object.
                uow.session.flush()
            uow.commit()
            return uow.revision

    def id(self) -> str:
        """An id of its own, the same in every run: rows are chosen in the order of their ids."""
        return f"id-{next(self._numbers):06d}"

    def metastore(self, owner: Principal, name: str) -> Any:
        """A metastore with such an id."""
        made = metastore(owner, name)
        made.id = made.metastore_id = self.id()
        return made

    def one(self, uow: WriteUnit, entity: type[Any], *conditions: Any) -> Any:
        """One random row, or None where there is none."""
        rows = uow.session.scalars(select(entity).where(*conditions)).all()
        keyed = sorted(rows, key=lambda row: row.change_id())
        return self.rng.choice(keyed) if keyed else None

    def live(self, uow: WriteUnit, *kinds: str) -> Any:
        """A random live securable of these kinds."""
        return self.one(uow, Securable, Securable.deleted_time.is_(None), Securable.kind.in_(kinds))

    def name(self, stem: str) -> str:
        """One of few names, so that names are taken, freed and taken again."""
        return f"{stem}{self.rng.randrange(6)}"


def add_principal(walk: Walk, uow: WriteUnit) -> None:
    name = walk.name(walk.rng.choice("ug"))
    if walk.one(uow, Principal, Principal.name_key == name) is None:
        kind = "GROUP" if name.startswith("g") else "USER"
        uow.session.add(Principal(id=walk.id(), kind=kind, name=name, name_key=name))


def rename_or_disable_principal(walk: Walk, uow: WriteUnit) -> None:
    principal = walk.one(uow, Principal, Principal.system.is_(False), Principal.deleted_time.is_(None))
    if principal:
        fresh = f"{principal.name}-{uow.revision}"
        principal.active = not principal.active
        principal.activation += principal.active
        principal.name = principal.name_key = fresh if walk.rng.random() < 0.5 else principal.name


def delete_principal(walk: Walk, uow: WriteUnit) -> None:
    """What it owned and was granted stays, for nobody."""
    principal = walk.one(uow, Principal, Principal.system.is_(False), Principal.deleted_time.is_(None))
    if principal is None:
        return
    for entity, column in (
        (Token, Token.principal_id), (GroupMember, GroupMember.member_id), (GroupMember, GroupMember.group_id),
    ):  # fmt: skip
        for row in uow.session.scalars(select(entity).where(column == principal.id)):
            uow.session.delete(row)
    principal.deleted_time, principal.active, principal.name_key = uow.time, False, principal.id


def join_or_leave(walk: Walk, uow: WriteUnit) -> None:
    group, member = (
        walk.one(uow, Principal, Principal.kind == "GROUP"),
        walk.one(uow, Principal, Principal.kind == "USER"),
    )
    if group and member:
        held = uow.session.get(GroupMember, (group.id, member.id))
        uow.session.delete(held) if held else uow.session.add(
            GroupMember(group_id=group.id, member_id=member.id, create_time=uow.time, created_by=ACTOR)
        )


def grant_or_revoke(walk: Walk, uow: WriteUnit) -> None:
    securable = walk.one(uow, Securable, Securable.kind != "ACCOUNT")
    principal = walk.one(uow, Principal)
    if securable and principal:
        key = (securable.id, principal.id, walk.rng.choice(PRIVILEGES))
        held = uow.session.get(Grant, key)
        lasting = walk.rng.choice((None, timedelta(seconds=-5), timedelta(hours=1)))
        expire_time = None if lasting is None else uow.time + lasting
        if held and walk.rng.random() < 0.5:
            held.expire_time = expire_time
        elif held:
            uow.session.delete(held)
        else:
            securable_id, principal_id, privilege = key
            uow.session.add(
                Grant(
                    securable_id=securable_id,
                    principal_id=principal_id,
                    privilege=privilege,
                    granted_by=ACTOR,
                    expire_time=expire_time,
                )
            )


def add_metastore_or_workspace(walk: Walk, uow: WriteUnit) -> None:
    owner = walk.one(uow, Principal)
    name = walk.name(walk.rng.choice("mw"))
    if owner is None or walk.one(
        uow, Securable, Securable.name_key == name, Securable.deleted_time.is_(None)
    ):
        return
    if name.startswith("m"):
        uow.session.add(walk.metastore(owner, name))
    else:
        attached = walk.live(uow, "METASTORE")
        uow.session.add(
            Workspace(
                id=walk.id(),
                parent_id=ACCOUNT_ID,
                metastore_id=attached and attached.id,
                name=name,
                name_key=name,
                owner_id=owner.id,
            )
        )


def add_child(walk: Walk, uow: WriteUnit) -> None:
    parent = walk.live(uow, *BELOW)
    if parent:
        name = walk.name("n")
        taken = walk.one(
            uow, Securable, Securable.parent_id == parent.id, Securable.name_key == name, Securable.deleted_time.is_(None)
        )  # fmt: skip
        if taken is None:
            uow.session.add(BELOW[parent.kind](parent, name, id=walk.id()))


def add_view_or_function(walk: Walk, uow: WriteUnit) -> None:
    parent, name = walk.live(uow, "SCHEMA"), walk.name("d")
    taken = parent and walk.one(
        uow, Securable, Securable.parent_id == parent.id, Securable.name_key == name, Securable.deleted_time.is_(None)
    )  # fmt: skip
    if parent is None or taken:
        return
    common = {
        "id": walk.id(), "parent_id": parent.id, "metastore_id": parent.metastore_id, "name": name, "name_key": name,
        "owner_id": parent.owner_id, "definition": f"a = {uow.revision}",
    }  # fmt: skip
    named = [{"name": walk.name("c")}]
    uow.session.add(
        Function(**common, parameters=named, return_type_text="BOOLEAN")
        if walk.rng.random() < 0.5
        else View(**common, full_text="SELECT a FROM b", dialect="duckdb", columns=named)
    )


def redefine_function(walk: Walk, uow: WriteUnit) -> None:
    function = walk.one(uow, Function)
    if function:
        function.definition = f"b = {uow.revision}"
        function.parameters = [{"name": "p"}, {"name": walk.name("c")}]


def rename_transfer_or_attach(walk: Walk, uow: WriteUnit) -> None:
    securable = walk.live(uow, "METASTORE", "WORKSPACE", "CATALOG", "SCHEMA", "TABLE")
    owner = walk.one(uow, Principal)
    if securable and owner:
        securable.owner_id = owner.id
        securable.isolation_mode = walk.rng.choice(("OPEN", "ISOLATED"))
        if walk.rng.random() < 0.5:
            securable.name = securable.name_key = f"{securable.name.partition('-')[0]}-{uow.revision}"
        if securable.kind == "WORKSPACE":
            attached = walk.live(uow, "METASTORE")
            securable.metastore_id = walk.rng.choice((None, attached and attached.id))


def delete_securable(walk: Walk, uow: WriteUnit) -> None:
    securable = walk.live(uow, "WORKSPACE", "TABLE", "SCHEMA", "VIEW", "FUNCTION")
    children = securable and walk.one(
        uow, Securable, Securable.parent_id == securable.id, Securable.deleted_time.is_(None)
    )
    if securable and not children:
        securable.deleted_time = uow.time


def undrop(walk: Walk, uow: WriteUnit) -> None:
    gone = walk.one(uow, Securable, Securable.kind == "TABLE", Securable.deleted_time.is_not(None))
    if gone:
        gone.name = gone.name_key = f"back-{uow.revision}-{walk.rng.randrange(1_000_000)}"
        gone.owner_id = gone.owner_id or walk.one(uow, Principal).id
        gone.deleted_time = None


def trust_or_distrust(walk: Walk, uow: WriteUnit) -> None:
    held = walk.one(uow, FederationPolicy)
    if held and walk.rng.random() < 0.4:
        uow.session.delete(held)
        return
    principal = walk.one(uow, Principal, Principal.kind == "USER")
    uow.session.add(
        FederationPolicy(
            id=walk.id(), principal_id=principal.id if principal and walk.rng.random() < 0.5 else None,
            issuer="i", audiences=["a", "b"], subject_claim="sub", subject="s", jwks="{}",
            create_time=uow.time, created_by=ACTOR,
        )
    )  # fmt: skip


def mint_or_revoke_token(walk: Walk, uow: WriteUnit) -> None:
    held, principal = walk.one(uow, Token), walk.one(uow, Principal, Principal.kind == "USER")
    if held and walk.rng.random() < 0.5:
        uow.session.delete(held)
    elif principal:
        workspace = walk.live(uow, "WORKSPACE")
        uow.session.add(
            Token(
                id=f"{uow.revision:011d}{walk.rng.randrange(10**11):011d}", principal_id=principal.id, kind="PAT",
                digest=walk.rng.randbytes(32), pepper_id="1", create_time=uow.time,
                expire_time=uow.time + timedelta(days=1), workspace_id=workspace and workspace.id,
            )
        )  # fmt: skip


def bind_or_unbind(walk: Walk, uow: WriteUnit) -> None:
    bound, workspace = walk.live(uow, "CATALOG"), walk.live(uow, "WORKSPACE")
    if bound and workspace:
        held = uow.session.get(WorkspaceBinding, (bound.id, workspace.id))
        uow.session.delete(held) if held else uow.session.add(
            WorkspaceBinding(
                securable_id=bound.id,
                workspace_id=workspace.id,
                type=walk.rng.choice(("READ_WRITE", "READ_ONLY")),
            )
        )


def define(walk: Walk, uow: WriteUnit) -> None:
    """References, a row filter and a mask of a table: those there were go, others come."""
    one, other = walk.live(uow, "TABLE"), walk.live(uow, "TABLE")
    if one is None:
        return
    for entity, column in (
        (SecurableReference, SecurableReference.object_id), (RowFilter, RowFilter.table_id), (ColumnMask, ColumnMask.table_id),
    ):  # fmt: skip
        for row in uow.session.scalars(select(entity).where(column == one.id)):
            uow.session.delete(row)
    uow.session.flush()
    for position in range(walk.rng.randrange(3)):
        uow.session.add(
            SecurableReference(
                object_id=one.id, position=position, privilege="SELECT", full_name=f"a.b.{walk.rng.randrange(9)}"
            )
        )  # fmt: skip
    if walk.rng.random() < 0.5:
        uow.session.add(RowFilter(table_id=one.id, function_id=other.id, columns=["id", walk.name("c")]))
        for key in ("b", "a"):
            uow.session.add(
                ColumnMask(
                    table_id=one.id, column_key=key, column_name=key.upper(), function_id=other.id, using=["id"]
                )
            )  # fmt: skip


def change_location(walk: Walk, uow: WriteUnit) -> None:
    """An external location comes, moves to another place, or goes."""
    found, store = walk.live(uow, "EXTERNAL_LOCATION"), walk.live(uow, "METASTORE")
    if (credential := walk.one(uow, StorageCredential)) is not None:
        credential.read_only = walk.rng.random() < 0.5
    if found and walk.rng.random() < 0.3:
        found.deleted_time = uow.time
    elif found:
        found.read_only = walk.rng.random() < 0.5
        found.url = f"s3://moved/{uow.revision}-{walk.rng.randrange(1_000_000)}"
    elif store:
        common = {"parent_id": store.id, "metastore_id": store.id, "owner_id": store.owner_id}
        name = f"l-{uow.revision}-{walk.rng.randrange(1_000_000)}"
        credential = StorageCredential(
            id=walk.id(), name=name, name_key=name, identity_type="aws_iam_role", identity={}, **common
        )
        location = ExternalLocation(
            id=walk.id(),
            name=name,
            name_key=name,
            url=f"s3://here/{name}",
            credential_id=credential.id,
            **common,
        )
        uow.session.add_all([credential, location])


OBJECTS = ("DIRECTORY", "NOTEBOOK", "JOB")


def change_object(walk: Walk, uow: WriteUnit) -> None:
    """An object of a workspace is registered, moved to another folder, handed over, or unregistered."""
    found, workspace = walk.live(uow, *OBJECTS), walk.live(uow, "WORKSPACE")
    if found and walk.rng.random() < 0.5:
        _move_or_unregister(walk, uow, found)
    elif workspace:
        kind, name = (
            walk.rng.choice((*OBJECTS, "DIRECTORY")),
            f"o-{uow.revision}-{walk.rng.randrange(1_000_000)}",
        )
        folder = walk.one(
            uow, Securable, Securable.deleted_time.is_(None), Securable.workspace_id == workspace.id,
            Securable.kind == "DIRECTORY",
        )  # fmt: skip
        parent = folder if folder and kind != "JOB" else workspace
        uow.session.add(
            WORKSPACE_OBJECTS[kind](
                id=walk.id(), kind=kind, parent_id=parent.id, workspace_id=workspace.id, name=name, name_key=name,
                owner_id=workspace.owner_id,
            )
        )  # fmt: skip


def _move_or_unregister(walk: Walk, uow: WriteUnit, found: Securable) -> None:
    children = walk.one(uow, Securable, Securable.parent_id == found.id, Securable.deleted_time.is_(None))
    if children is None and walk.rng.random() < 0.3:
        found.deleted_time = uow.time
    elif found.kind == "JOB":
        found.owner_id = walk.one(uow, Principal, Principal.deleted_time.is_(None)).id
    else:
        folder = walk.one(
            uow, Securable, Securable.deleted_time.is_(None), Securable.workspace_id == found.workspace_id,
            Securable.kind == "DIRECTORY",
        )  # fmt: skip
        above = folder
        while above is not None and above.id != found.id:
            above = uow.session.get(Securable, above.parent_id) if above.parent_id else None
        # A folder does not lie in itself.
        found.parent_id = folder.id if folder and above is None else found.workspace_id


CHANGES: tuple[Change, ...] = (
    add_principal, add_principal, rename_or_disable_principal, delete_principal, join_or_leave, grant_or_revoke, grant_or_revoke,
    add_metastore_or_workspace, add_child, add_child, add_view_or_function, redefine_function, rename_transfer_or_attach, delete_securable, undrop,
    mint_or_revoke_token, list_addresses, trust_or_distrust, bind_or_unbind, define, define, change_location, change_object, change_object,
)  # fmt: skip

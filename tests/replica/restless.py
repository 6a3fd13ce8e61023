"""A server whose database changes at random while an engine watches it, and the same questions to both."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

from sqlalchemy import select

from lakewarden import Client
from lakewarden.replica import PolicyReplica
from lakewarden_policy import IN_WORKSPACE, KINDS, Snapshot
from lakewarden_server.entities import Grant, Principal, Securable, SecurableReference, View, Workspace
from lakewarden_server.storage import WriteUnit
from lakewarden_server.testing import WORKSPACE, EmbeddedServer, serve
from storage import random_changes
from storage.worlds import ACTOR, writing

GIVEN = ("USE_CATALOG", "USE_SCHEMA", "SELECT", "MODIFY", "EXECUTE", "MANAGE", "BROWSE", "READ_VOLUME")
USES = {"TABLE:SELECT", "TABLE:MODIFY", "VIEW:SELECT", "FUNCTION:EXECUTE"}
ELSEWHERE = {"ACCOUNT", "METASTORE", "WORKSPACE", "GROUP", "SERVICE_PRINCIPAL", "USER"}
"""Kinds of which a slice has one object each or none: of others the replica says no whatever the server says."""


class Question(NamedTuple):
    """One access of one subject; an engine's `PlanAccess`."""

    subject: str
    securable_type: str
    full_name: str
    privilege: str


class Walk(random_changes.Walk):
    """Random changes in which the engine stays and its workspace has one name; the workspace moves between metastores all the same."""

    def __init__(self, server: EmbeddedServer, seed: int, engine: str) -> None:
        snapshot = server.app.follower.at_head().snapshot
        self.workspace_id = snapshot.child("account", "WORKSPACE", WORKSPACE).id  # type: ignore[union-attr]
        self.engine_id = snapshot.principal_named(engine).id  # type: ignore[union-attr]
        super().__init__(server.app.database, seed)
        with writing(self.database) as uow:
            # What the walk must not disable or delete.
            uow.session.get_one(Principal, self.engine_id).system = True
            uow.session.get_one(Workspace, self.workspace_id).metastore_id = self.live(uow, "METASTORE").id
            uow.commit()

    def one(self, uow: WriteUnit, entity: type[Any], *conditions: Any) -> Any:
        """A random row, but no token and no grant of the engine's."""
        if entity is random_changes.Token:
            conditions = (*conditions, entity.principal_id != self.engine_id)
        return super().one(uow, entity, *conditions)

    def step(self) -> int:
        """One revision; what happens to the workspace's name or life is undone in it."""
        with writing(self.database) as uow:
            for _ in range(self.rng.choice((1, 1, 2, 4))):
                change = self.rng.choice((*random_changes.CHANGES, *CHANGES))
                change(self, uow)
                self.done.add(change.__name__)
                uow.session.flush()
            workspace = uow.session.get_one(Workspace, self.workspace_id)
            workspace.deleted_time, workspace.name, workspace.name_key = None, WORKSPACE, WORKSPACE
            if self.rng.random() < 0.7:
                main = uow.session.scalars(
                    select(Securable).where(Securable.kind == "METASTORE", Securable.name_key.startswith("m"))
                ).first()
                workspace.metastore_id = main.id if main is not None else None
            uow.commit()
            return uow.revision


def assign(walk: Walk, uow: WriteUnit) -> None:
    """Somebody is assigned to a workspace, this one mostly."""
    other = walk.live(uow, "WORKSPACE")
    place = walk.workspace_id if walk.rng.random() < 0.7 or other is None else other.id
    _give(walk, uow, place, walk.rng.choice(("USER", "USER", "ADMIN")))


def open_doors(walk: Walk, uow: WriteUnit) -> None:
    """A privilege that counts, on a container or relation."""
    place = walk.live(uow, "CATALOG", "CATALOG", "SCHEMA", "TABLE", "VIEW", "FUNCTION")
    if place is not None:
        for _ in range(3):
            _give(walk, uow, place.id, walk.rng.choice(GIVEN))


def let_in(walk: Walk, uow: WriteUnit) -> None:
    """Somebody gets all it takes to use one thing: the assignment, the gates above it, and the privilege itself."""
    here = uow.session.get_one(Workspace, walk.workspace_id).metastore_id
    kinds = Securable.kind.in_(("TABLE", "VIEW", "FUNCTION"))
    found = walk.one(uow, Securable, Securable.deleted_time.is_(None), Securable.metastore_id == here, kinds)
    principal = walk.one(uow, Principal, Principal.active.is_(True))
    if found is None or principal is None:
        return
    privilege = "EXECUTE" if found.kind == "FUNCTION" else walk.rng.choice(("SELECT", "MODIFY"))
    schema = uow.session.get_one(Securable, found.parent_id)
    for place, needed in (
        (walk.workspace_id, "USER"),
        (schema.parent_id, "USE_CATALOG"),
        (schema.id, "USE_SCHEMA"),
        (found.id, privilege),
    ):
        _give(walk, uow, place, needed, principal)


def close_doors(walk: Walk, uow: WriteUnit) -> None:
    """Something that counts is taken back."""
    held = walk.one(uow, Grant, Grant.privilege.in_((*GIVEN, "USER", "ADMIN")))
    if held is not None:
        uow.session.delete(held)


def look_through(walk: Walk, uow: WriteUnit) -> None:
    """A view gets references to what there is, or was, or never was."""
    view, target = walk.live(uow, "VIEW", "FUNCTION"), walk.live(uow, "TABLE", "VIEW", "FUNCTION")
    if view is None or target is None:
        return
    for row in uow.session.scalars(select(SecurableReference).where(SecurableReference.object_id == view.id)):
        uow.session.delete(row)
    uow.session.flush()
    schema = uow.session.get_one(Securable, target.parent_id)
    catalog = uow.session.get_one(Securable, schema.parent_id)
    name = f"{catalog.name}.{schema.name}.{target.name}"
    for position, full_name in enumerate((name, "nowhere.at.all")[: walk.rng.choice((1, 1, 1, 2))]):
        uow.session.add(
            SecurableReference(
                object_id=view.id, position=position, full_name=full_name,
                privilege="EXECUTE" if target.kind == "FUNCTION" else "SELECT",
            )
        )  # fmt: skip


def add_view(walk: Walk, uow: WriteUnit) -> None:
    """A view owned by somebody assigned, so that it can be read through."""
    schema = walk.live(uow, "SCHEMA")
    owner = walk.one(uow, Principal)
    if schema is None or owner is None:
        return
    name = f"v-{uow.revision}-{walk.rng.randrange(10**6)}"
    uow.session.add(
        View(
            id=walk.id(), parent_id=schema.id, metastore_id=schema.metastore_id, name=name, name_key=name, owner_id=owner.id,
            definition="SELECT 1", full_text="SELECT 1", dialect="duckdb", columns=[],
        )
    )  # fmt: skip


CHANGES: tuple[random_changes.Change, ...] = (
    assign, assign, open_doors, open_doors, let_in, let_in, let_in, close_doors, look_through, look_through, add_view,
)  # type: ignore[assignment]  # fmt: skip


def _give(walk: Walk, uow: WriteUnit, place: str, privilege: str, principal: Principal | None = None) -> None:
    principal = principal or walk.one(uow, Principal)
    if principal is not None and uow.session.get(Grant, (place, principal.id, privilege)) is None:
        uow.session.add(
            Grant(securable_id=place, principal_id=principal.id, privilege=privilege, granted_by=ACTOR)
        )


class Watched(NamedTuple):
    """The running server, the walk, the engine's client and its replica."""

    server: EmbeddedServer
    walk: Walk
    client: Client
    replica: PolicyReplica
    rng: random.Random

    @property
    def metastore_id(self) -> str:
        """A metastore that the workspace can be attached to."""
        securables = self.server.app.follower.at_head().snapshot.securables
        return next(found.id for found in securables.values() if found.kind == "METASTORE")

    def attach(self, metastore_id: str | None) -> None:
        """Attaches the workspace; None detaches it."""
        with writing(self.walk.database) as uow:
            workspace = uow.session.get_one(Workspace, self.walk.workspace_id)
            workspace.metastore_id = metastore_id
            uow.commit()

    def questions(self, count: int) -> list[Question]:
        """About what there is, half of them about what somebody holds."""
        decider = self.server.app.follower.at_head().decider
        snapshot, rng = decider.snapshot, self.rng
        people = [found for found in snapshot.principals.values() if found.name]
        # Objects of workspaces are in no slice; `test_freshness.py` asks about them.
        kinds = {kind for kind in KINDS.keys() - IN_WORKSPACE if decider.policy.grantable(kind)}
        objects = [found for found in snapshot.securables.values() if found.kind in kinds]
        rows = [row for row in snapshot.rows() if snapshot.securables[row.object_id].kind in kinds]
        here = snapshot.securables[self.walk.workspace_id].metastore_id
        exact = [
            row for row in rows if row.act in USES and snapshot.securables[row.object_id].metastore_id == here
        ]
        asked = []
        for number in range(count):
            found, person = rng.choice(objects), rng.choice(people)
            privilege = rng.choice(decider.policy.grantable(found.kind))
            if number % 2:
                row = rng.choice(rows)
                found, person = _below(snapshot, rng, row.object_id), _within(snapshot, rng, row.principal_id)
                likely = [name for name in GIVEN if name in decider.policy.grantable(found.kind)]
                privilege = rng.choice(likely or decider.policy.grantable(found.kind))
            if number % 4 == 3 and exact:
                # Just what somebody holds on something that is read or run.
                row = rng.choice(exact)
                found, person = snapshot.securables[row.object_id], _within(snapshot, rng, row.principal_id)
                privilege = row.act.partition(":")[2]
            asked.append(Question(person.name, found.kind, snapshot.full_name(found.id), privilege))
        return asked

    def compare(self, count: int) -> tuple[int, int]:
        """Asks both; returns how many were asked and how many allowed. The replica is brought to the head first."""
        self.replica.refresh()
        by_subject: dict[str, list[Question]] = {}
        for question in self.questions(count):
            by_subject.setdefault(question.subject, []).append(question)
        allowed = 0
        for subject, questions in by_subject.items():
            verdicts = self.client.authorization.batch_check(questions, subject=subject, explain=False)
            for question, expected in zip(questions, verdicts, strict=True):
                found = self.replica.check(
                    question.privilege, question.securable_type, question.full_name, subject=subject
                )
                assert found.revision == expected.revision, found
                elsewhere = question.securable_type in ELSEWHERE and question.full_name != WORKSPACE
                assert found.allowed == expected.allowed or (elsewhere and not found.allowed), (
                    question,
                    expected,
                )
                allowed += expected.allowed
        return count, allowed


def _below(snapshot: Snapshot, rng: random.Random, object_id: str) -> Any:
    """The object, or something in it, where its grants count."""
    while rng.random() < 0.8:
        inside = [
            key
            for kind in ("SCHEMA", "TABLE", "VIEW", "FUNCTION")
            for key in snapshot.children(object_id, kind)
        ]
        if not inside:
            break
        object_id = rng.choice(inside)
    return snapshot.securables[object_id]


def _within(snapshot: Snapshot, rng: random.Random, principal_id: str) -> Any:
    """The principal, or a member of the group it is."""
    members = snapshot.members_of(principal_id)
    return snapshot.principals.get(rng.choice(members) if members else principal_id) or SimpleNamespace(
        name="nobody"
    )


@contextmanager
def watched(seed: int, database_url: str | None = None, **options: Any) -> Iterator[Watched]:
    """A server on a fresh database, a walk on it, and an engine that watches it."""
    with serve(database_url=database_url) as server:
        name, client = engine(server)
        walk = Walk(server, seed, name)
        replica = PolicyReplica(client, **options)
        yield Watched(server, walk, client, replica, random.Random(seed))
        replica.close()


def engine(server: EmbeddedServer, *, workspace: str = WORKSPACE) -> tuple[str, Client]:
    """A service principal with QUERY_ENGINE in the workspace: its application id, and a client as it."""
    admin = server.client()
    name = admin.service_principals.create("engine").name
    admin.grants.grant("QUERY ENGINE", "workspace", workspace, name)
    return name, server.client(server.issue_token(name), workspace=workspace)

"""A writer whose right is taken at revision r never commits after r, whatever its first check said (promise G8)."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from consistency.broken import TrustsCheapCheck
from consistency.cluster import Cluster
from lakewarden import Client, LakewardenError, PermissionDenied, Unauthenticated
from lakewarden_server.authz.follower import Follower

WRITER = "writer@example.com"
WRITERS_GROUP = "writers"
RACES = 10
RACES_LONG = 500
PAUSES = 250
"""On each kind of database: 500 in all, each way to take the right at each moment many times."""
PAUSES_LONG = 2_000
EVENT_SECONDS_MAX = 20.0
DENIALS = (PermissionDenied, Unauthenticated)

Revoke = Callable[[Client], object]

REVOKES: dict[str, Revoke] = {
    "grant": lambda admin: admin.grants.revoke("CREATE_SCHEMA", "catalog", "main", WRITERS_GROUP),
    "gate": lambda admin: admin.grants.revoke("USE_CATALOG", "catalog", "main", WRITERS_GROUP),
    "membership": lambda admin: admin.groups.update_members(WRITERS_GROUP, remove=[WRITER]),
    "principal": lambda admin: admin.users.disable(WRITER),
    "assignment": lambda admin: admin.grants.revoke("USER", "workspace", "workspace", WRITER),
    "group": lambda admin: admin.groups.delete(WRITERS_GROUP),
    "detached workspace": lambda admin: admin.workspaces.detach("workspace"),
}
RESTORES: dict[str, Revoke] = {
    "grant": lambda admin: admin.grants.grant("CREATE_SCHEMA", "catalog", "main", WRITERS_GROUP),
    "gate": lambda admin: admin.grants.grant("USE_CATALOG", "catalog", "main", WRITERS_GROUP),
    "membership": lambda admin: admin.groups.update_members(WRITERS_GROUP, add=[WRITER]),
    "principal": lambda admin: admin.users.enable(WRITER),
    "assignment": lambda admin: admin.grants.grant("USER", "workspace", "workspace", WRITER),
    "group": lambda admin: make_group(admin),
    "detached workspace": lambda admin: admin.workspaces.attach("workspace", "metastore"),
}


def world(cluster: Cluster) -> None:
    """A catalog in which the writer may create schemas, through a group."""
    admin = cluster.admin()
    admin.catalogs.create("main")
    cluster.server.token_of(WRITER)
    make_group(admin)


def make_group(admin: Client) -> None:
    """The group that may create schemas, with the writer in it."""
    admin.groups.create(WRITERS_GROUP)
    admin.groups.update_members(WRITERS_GROUP, add=[WRITER])
    admin.grants.grant(["USE_CATALOG", "CREATE_SCHEMA"], "catalog", "main", WRITERS_GROUP)


@pytest.mark.parametrize("kind", REVOKES)
def test_a_write_paused_after_its_check_is_denied_once_its_right_is_revoked(
    cluster: Cluster, kind: str
) -> None:
    with pytest.raises(DENIALS):
        write_across_a_revoke(cluster, REVOKES[kind])
    assert schemas(cluster) == {"default"}


@pytest.mark.parametrize("kind", REVOKES)
def test_a_transaction_that_began_before_a_revoke_and_takes_the_head_after_it_is_denied(
    postgresql_cluster: Cluster, kind: str
) -> None:
    # Only PostgreSQL has this moment: SQLite's BEGIN IMMEDIATE keeps every other writer out.
    with pytest.raises(DENIALS):
        write_across_a_revoke(postgresql_cluster, REVOKES[kind], pause="after_begin")
    assert schemas(postgresql_cluster) == {"default"}


def test_no_paused_write_of_the_revoked_ever_commits(cluster: Cluster) -> None:
    pause_writes(cluster, rounds=PAUSES, seed=20261120)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_no_paused_write_of_the_revoked_ever_commits_for_long(cluster: Cluster) -> None:
    pause_writes(cluster, rounds=PAUSES_LONG, seed=1)


def test_a_write_paused_after_its_check_is_refused_once_its_token_is_revoked(cluster: Cluster) -> None:
    token = cluster.client_as(WRITER).session.get().token_id
    with pytest.raises(Unauthenticated):
        write_across_a_revoke(cluster, lambda _: cluster.client_as(WRITER).tokens.delete(token))
    assert schemas(cluster) == {"default"}


def test_control_a_server_that_trusts_its_first_check_commits_after_the_revoke(cluster: Cluster) -> None:
    write_across_a_revoke(cluster, REVOKES["grant"], follower=TrustsCheapCheck)
    assert schemas(cluster) == {"default", "late"}


def test_no_schema_is_newer_than_the_revoke_of_its_writer(cluster: Cluster) -> None:
    race_writers(cluster, rounds=RACES, seed=20261120)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_no_schema_is_newer_than_the_revoke_of_its_writer_for_long(cluster: Cluster) -> None:
    race_writers(cluster, rounds=RACES_LONG, seed=1)


def write_across_a_revoke(
    cluster: Cluster,
    revoke: Revoke,
    *,
    pause: str = "before_write",
    follower: type[Follower] = Follower,
) -> None:
    """Creates a schema as the writer, while the right is revoked on another replica at the given moment."""
    world(cluster)
    database, endpoint = cluster.add_hooked(follower=follower)
    admin = cluster.admin()
    database.once(pause, lambda: revoke(admin))
    cluster.client_as(WRITER, endpoint).schemas.create("main.late")


def pause_writes(cluster: Cluster, *, rounds: int, seed: int) -> None:
    """Pauses a write between check and commit, over and over, while another replica takes the writer's right in some way."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    world(cluster)
    database, endpoint = cluster.add_hooked()
    admin, writer = cluster.admin(), cluster.client_as(WRITER, endpoint)
    moments = ["before_write"] if database.dialect == "sqlite" else ["before_write", "after_begin"]
    ways = [(kind, moment) for kind in sorted(REVOKES) for moment in moments]
    chance.shuffle(ways)
    for number in range(rounds):
        kind, moment = ways[number % len(ways)]
        revoked: list[str] = []

        def revoke(kind: str = kind, revoked: list[str] = revoked) -> None:
            REVOKES[kind](admin)
            revoked.append(admin.revision)

        database.once(moment, revoke)
        with pytest.raises(DENIALS):
            writer.schemas.create(f"main.late_{number}")
        assert revoked, "the write was refused before it was paused"
        RESTORES[kind](admin)
        if kind == "principal":
            # The token went with the right, for good.
            writer = cluster.client(cluster.server.issue_token(WRITER), endpoint)
        if number % 25 == 0:
            # Not refused for something else.
            writer.schemas.create(f"main.early_{number}")
    assert not any(name.startswith("late") for name in schemas(cluster))


def schemas(cluster: Cluster) -> set[str]:
    """The schemas of the catalog as its owner sees them, wherever the workspace went."""
    admin = cluster.admin()
    admin.workspaces.attach("workspace", "metastore")
    return {schema.name for schema in admin.schemas.list("main")}


def race_writers(cluster: Cluster, *, rounds: int, seed: int) -> None:
    """Writers create schemas on every replica all the time, while their right comes and goes."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    world(cluster)
    cluster.add_process()
    spans: list[tuple[int, int]] = []
    with writing_everywhere(cluster) as log:
        for _ in range(rounds):
            admin = cluster.admin(chance.choice(cluster.endpoints))
            log.wait_for_another(log.created)
            admin.grants.revoke("CREATE_SCHEMA", "catalog", "main", WRITERS_GROUP)
            revoked = number_of(admin.revision)
            log.wait_for_another(log.denied)
            admin.grants.grant("CREATE_SCHEMA", "catalog", "main", WRITERS_GROUP)
            spans.append((revoked, number_of(admin.revision)))
    assert log.errors == []
    late = [revision for revision in log.created for start, end in spans if start <= revision <= end]
    assert late == []


class Log:
    """What the writers met: revisions of acknowledged creations, and denials."""

    def __init__(self) -> None:
        self.created: list[int] = []
        self.denied: list[int] = []
        self.errors: list[str] = []

    def wait_for_another(self, events: list[int]) -> None:
        """Waits until one more event of this kind was met."""
        enough, give_up = len(events) + 1, time.monotonic() + EVENT_SECONDS_MAX
        while len(events) < enough:
            assert self.errors == []
            assert time.monotonic() < give_up, "the writers make no progress"
            time.sleep(0.001)


@contextmanager
def writing_everywhere(cluster: Cluster) -> Iterator[Log]:
    """Creates schemas as the writer through each replica, all the time, during the block."""
    log = Log()
    stopping = threading.Event()

    def write(client: Client, name: str) -> None:
        for number in itertools.count():
            if stopping.is_set():
                return
            try:
                client.schemas.create(f"main.{name}_{number}")
                log.created.append(number_of(client.revision))
            except PermissionDenied:
                log.denied.append(number)
            except LakewardenError as error:
                log.errors.append(repr(error))
                return

    threads = [
        threading.Thread(target=write, args=(cluster.client_as(WRITER, endpoint), f"w{number}"))
        for number, endpoint in enumerate(cluster.endpoints)
    ]
    for thread in threads:
        thread.start()
    try:
        yield log
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def number_of(revision: str) -> int:
    """The number in `<epoch>:<number>`."""
    return int(revision.rpartition(":")[2])

"""The server under load, a process of its own: the production parts on a filled database, and an echo beside them.

Started by `bench.processes` with one JSON object as argument; prints one JSON line when it serves, ends when its stdin closes.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterable
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Table, insert

from bench import plans
from bench.echo import EchoPool, add_echo
from bench.processes import Target
from bench.worlds import Size, World, make_world
from lakewarden_policy import KINDS, load_policy
from lakewarden_server import entities
from lakewarden_server.core.clock import monotonic
from lakewarden_server.testing import WORKSPACE, EmbeddedServer, declare_filled, serve
from lakewarden_server.worker import SWITCH_SECONDS

ROWS_PER_STATEMENT = 10_000
FILL_SECONDS = 120.0
TOKEN_LIFETIME = timedelta(hours=2)


def main(argument: str) -> None:
    """Fills the database, serves, waits."""
    wanted: dict[str, Any] = json.loads(argument)
    if wanted["cores"]:
        os.sched_setaffinity(0, wanted["cores"])
    # Threads take turns as they do where an operator serves.
    sys.setswitchinterval(SWITCH_SECONDS)
    with serve(database_url=wanted["database_url"], directory=Path(wanted["directory"])) as server:
        fill(server, Size(**wanted["size"]))
        if wanted["plan"]:
            plans.set_up(server.client())
        # The server object is nobody's business in production, so there is no public way to it.
        pool = EchoPool(server.app.settings.read_threads)
        assert server.app.rpc is not None
        add_echo(server.app.rpc._server, _revision(server), pool)
        ready = {
            "endpoint": server.endpoint,
            "workspace": WORKSPACE,
            "token": engine_token(server),
            "admin_token": server.admin_token,
        }
        # The first look at the filled database builds the snapshot: that is set-up, not load.
        server.app.follower.at_head()
        # As a serving process does.
        gc.collect()
        gc.freeze()
        print(json.dumps(ready), flush=True)
        sys.stdin.read()


def filled(size: Size, directory: Path) -> Target:
    """A filled SQLite database in a directory, made in this process and served by nobody: `processes.served` serves it."""
    with serve(directory=directory) as server:
        fill(server, size)
        return Target(
            endpoint="",
            directory=directory,
            workspace=WORKSPACE,
            token=engine_token(server),
            admin_token=server.admin_token,
            size=size,
            process_id=os.getpid(),
        )


def engine_token(server: EmbeddedServer) -> str:
    """A service principal that may ask about everybody, as an engine does."""
    admin = server.client()
    engine = admin.service_principals.create("bench engine")
    admin.grants.grant("QUERY_ENGINE", "workspace", WORKSPACE, engine.name)
    token: str = admin.tokens.create(principal=engine.name).token_value
    return token


def fill(server: EmbeddedServer, size: Size) -> None:
    """Writes a world's rows under one revision, past the services: a million calls would take an hour."""
    snapshot = server.app.follower.at_head().snapshot
    workspace = snapshot.resolve("WORKSPACE", WORKSPACE, None)
    admin = snapshot.principal_named("admin@example.com")
    if workspace is None or workspace.metastore_id is None or admin is None:
        raise LookupError("the embedded server came without its workspace")
    world = make_world(size, metastore=workspace.metastore_id, workspace=workspace.id)
    with server.app.database.write(
        deadline=monotonic() + FILL_SECONDS,
        request_id="",
        actor_id=admin.id,
        policy_digest=load_policy().digest,
    ) as uow:
        stamp = {"create_time": uow.time, "created_by": admin.id, "revision": uow.head.revision}
        for table, rows in _rows(world, stamp, admin.id):
            iterator = iter(rows)
            while chunk := list(islice(iterator, ROWS_PER_STATEMENT)):
                uow.connection.execute(insert(table), chunk)
        uow.commit()
    declare_filled(server.app.database)


def table_of(entity_class: type[entities.Base]) -> Table:
    """The table of a mapped class alone: inserting through the class would write its parent's table too."""
    table = entity_class.__table__
    assert isinstance(table, Table)
    return table


def _rows(world: World, stamp: dict[str, Any], owner: str) -> Iterable[tuple[Any, Iterable[dict[str, Any]]]]:
    stamped = {**stamp, "update_time": stamp["create_time"], "updated_by": owner}
    granted = {"create_time": stamp["create_time"], "granted_by": owner, "revision": stamp["revision"]}
    yield (
        table_of(entities.Principal),
        ({**row._asdict(), "display_name": "", "system": False, **stamped} for row in world.principals),
    )
    yield table_of(entities.GroupMember), ({**row._asdict(), **stamp} for row in world.memberships)
    yield (
        table_of(entities.Securable),
        (
            {
                **row._asdict(),
                "namespace": KINDS[row.kind].namespace,
                "owner_id": owner,
                "comment": "",
                "properties": {},
                **stamped,
            }
            for row in world.securables
        ),
    )
    yield table_of(entities.Grant), ({**row._asdict(), **granted} for row in world.grants)


def _revision(server: EmbeddedServer) -> str:
    head = server.app.follower.at_head().head
    return f"{head.epoch}:{head.revision}"


if __name__ == "__main__":
    main(sys.argv[1])

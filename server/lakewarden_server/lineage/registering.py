"""Gives tables and views the lineage that was told of their names before they were registered (reference/lineage.md 5).

An event binds the names it speaks of itself. What it cannot bind is a name that nothing has yet: when something gets it, what
was told of the name until then becomes that of the table. It follows the change log from where it was left, under lineage's head
and beside the decisions' own, in bounded steps: no registration waits for it, but as writers wait for each other on SQLite. After a
restart, or on whichever server, it goes on.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from lakewarden_policy import Snapshot
from lakewarden_policy.kinds import RELATIONS
from lakewarden_policy.names import name_key
from lakewarden_policy.records import Head
from lakewarden_server.authz.follower import Follower
from lakewarden_server.core.clock import microseconds_of, monotonic
from lakewarden_server.core.errors import LakewardenError
from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.lineage.names import (
    AssetKind,
    AssetName,
    NameInvalid,
    catalog_digest,
    hosts_of,
    is_own,
    path_name,
    securable_name,
)
from lakewarden_server.lineage.placing import Places, name_digest
from lakewarden_server.lineage.statements import Link
from lakewarden_server.lineage.weaving import Weaver
from lakewarden_server.storage.engine import Database
from lakewarden_server.storage.repositories.lineage import LineageStore
from lakewarden_server.storage.repositories.lineage_registering import Registered, RegisteringReader

logger = logging.getLogger("lakewarden.lineage")

LOOK_SECONDS: Final = 0.5
"""Between two looks at whether anything was registered."""
CHANGES_MAX: Final = 1_000
"""Revisions gone through at a time, while recorders wait if anything was registered by one."""
STEP_SECONDS_MAX: Final = 10.0
"""Of one step, until it has the head among it."""
HEAVY_SECONDS: Final = 2.0
"""A step that did not end in time and had the head for so long is tried in smaller ones; a revision that does by itself is passed over, and
the next event that speaks of its names binds them."""


class _Found(NamedTuple):
    """A name that was spoken of, and what has it now."""

    name: AssetName
    registered: Registered


class _Heavy(Exception):
    """A step is too much for its time."""


@contextmanager
def _told_if_heavy() -> Iterator[None]:
    began = monotonic()
    try:
        yield
    except Exception as error:
        # Whatever a database says of a statement that it ended in time.
        if monotonic() - began < HEAVY_SECONDS:
            raise
        raise _Heavy from error


class _Looked(NamedTuple):
    """In the history of an epoch nothing was registered after one revision, up to another."""

    epoch: str
    bound: int
    until: int


class Registrar:
    """A thread that binds names to what is registered by them; every server has one, and each registration is gone through once."""

    def __init__(self, database: Database, follower: Follower, own_hosts: frozenset[str]) -> None:
        """`own_hosts` are those at which `unitycatalog://` names tables of this server; any for none."""
        self._database, self._follower, self._own_hosts = database, follower, own_hosts
        self._looked = _Looked("", 0, 0)
        self._changes_max = CHANGES_MAX
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lakewarden-registrar", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Waits for the step that is being taken."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        failing = False
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.catch_up()
            except Exception as error:
                if not failing:
                    foreseen = isinstance(error, LakewardenError)
                    logger.warning(
                        "what was registered has not its earlier lineage yet: %s",
                        error,
                        exc_info=not foreseen,
                    )
                failing = True
            else:
                failing = False

    def catch_up(self) -> None:
        """Goes through all that was registered until now. Raises what a transaction can raise; what was done until then stays."""
        fresh = self._follower.at_head()
        while not self._stopping.is_set() and self._step(fresh.snapshot, fresh.head):
            pass

    def _step(self, snapshot: Snapshot, head: Head) -> bool:
        """Goes through some revisions; whether there are more."""
        with self._database.reading() as connection:
            reader = RegisteringReader(connection)
            bound = reader.bound_revision()
            after = self._looked.until if self._looked[:2] == (head.epoch, bound) else bound
            until = min(head.revision, after + max(1, self._changes_max))
            if until <= after:
                return False
            registered = reader.registered(after, until, RELATIONS)
        if registered or until - bound >= CHANGES_MAX:
            self._bind_in_time(snapshot, after, until)
        else:
            self._looked = _Looked(head.epoch, bound, until)
        return until < head.revision

    def _bind_in_time(self, snapshot: Snapshot, after: int, until: int) -> None:
        try:
            self._bind(snapshot, until, passing_over=self._changes_max < 1)
        except _Heavy:
            self._changes_max = (until - after) // 2
            logger.warning("binding the names of revisions up to %d takes long: in smaller steps", until)
        else:
            self._changes_max = CHANGES_MAX

    def _bind(self, snapshot: Snapshot, until: int, *, passing_over: bool) -> None:
        """Binds what was registered until then, with recorders waiting: what they told before is seen, what they tell after sees it."""
        deadline = monotonic() + STEP_SECONDS_MAX
        with self._database.transaction(deadline=deadline) as connection:
            store, reader = LineageStore(connection, deadline=deadline), RegisteringReader(connection)
            store.take()
            if store.bound_revision >= until:
                # Another server was faster.
                return
            registered = reader.registered(store.bound_revision, until, RELATIONS)
            if passing_over:
                logger.warning("names of revision %d are left to the events that speak of them", until)
            else:
                with _told_if_heavy():
                    for metastore_id, found in self._spoken_of(reader, snapshot, registered).items():
                        _bind(store, metastore_id, found)
            store.bound_revision = until
            store.keep_ids()
            connection.commit()

    def _spoken_of(
        self, reader: RegisteringReader, snapshot: Snapshot, registered: Sequence[Registered]
    ) -> dict[str, list[_Found]]:
        """The names of what was registered that lineage speaks of and that are nothing's yet, by metastore."""
        by_name: dict[tuple[str, str], Registered] = {}
        by_path: dict[tuple[str, str], Registered] = {}
        paths = reader.paths({each.id for each in registered})
        for each in registered:
            securable = snapshot.securables.get(each.id)
            is_there = securable is not None and securable.kind in RELATIONS
            metastore_id = snapshot.ancestor(each.id, "METASTORE") if is_there else None
            if metastore_id is None:
                continue
            by_name[metastore_id, catalog_digest(name_key(snapshot.full_name(each.id)))] = each
            for url in paths.get(each.id, ()):
                if (digest := _path_digest(url)) is not None:
                    by_path[metastore_id, digest] = each
        found: dict[str, list[_Found]] = defaultdict(list)
        for column, wanted in (("catalog_digest", by_name), ("digest", by_path)):
            metastore_ids, digests = {metastore for metastore, _ in wanted}, {digest for _, digest in wanted}
            for row in reader.unbound(column, digests, metastore_ids, FOREVER):
                name = AssetName(AssetKind(row.kind), row.namespace, row.name)
                made = wanted.get((row.metastore_id, row.key))
                if made is not None and (wanted is by_path or self._is_ours(name, row.metastore_id)):
                    found[row.metastore_id].append(_Found(name, made))
        return found

    def _is_ours(self, name: AssetName, metastore_id: str) -> bool:
        return name.kind is AssetKind.DATASET and is_own(name, hosts_of(self._own_hosts, metastore_id))


def _path_digest(url: str) -> str | None:
    try:
        return name_digest(path_name(url))
    except NameInvalid:
        return None


def _bind(store: LineageStore, metastore_id: str, found: Collection[_Found]) -> None:
    """Says of names what they are from when it was registered on, which is what they were before where they were nothing else's."""
    places = Places(store, metastore_id, "")
    told = set()
    for name, registered in found:
        other = securable_name(registered.id)
        told.add(Link(min(name, other), max(name, other), microseconds_of(registered.time)))
    places.learn({name for link in told for name in (link.one, link.other)})
    places.link(told)
    places.settle()
    Weaver(store, places, metastore_id).weave({}, {}, {}, ())

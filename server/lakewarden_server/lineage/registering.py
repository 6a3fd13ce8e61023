"""Gives tables, views and volumes the lineage that was told of their names and paths before they were registered (reference/lineage.md 5).

An event binds the names it speaks of itself. What it cannot bind is a name that nothing has yet: when something gets it, by being made or
renamed or because its schema or catalog is, what was told of the name until then becomes that of the table. It follows the change log from where it was left, under lineage's head
and beside the decisions' own, in bounded steps: no registration waits for it, but as writers wait for each other on SQLite. After a
restart, or on whichever server, it goes on.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple

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
    catalog_digest,
    hosts_of,
    is_own,
    securable_name,
    volume_location,
)
from lakewarden_server.lineage.placing import Places
from lakewarden_server.lineage.statements import Link
from lakewarden_server.lineage.weaving import Weaver
from lakewarden_server.storage.engine import Database
from lakewarden_server.storage.repositories.lineage import LineageStore
from lakewarden_server.storage.repositories.lineage_registering import (
    Registered,
    RegisteringReader,
    Spot,
    Stretch,
)

logger = logging.getLogger("lakewarden.lineage")

VOLUME: Final = "VOLUME"
KINDS: Final = RELATIONS | {VOLUME}
"""What takes the lineage of its names along."""
CONTAINERS: Final = frozenset({"CATALOG", "SCHEMA"})
"""What gives all that is in it another name when it is renamed."""
LOOK_SECONDS: Final = 0.5
"""Between two looks at whether anything was registered."""
CHANGES_MAX: Final = 1_000
"""Revisions gone through at a time, while recorders wait if anything was registered by one."""
NAMES_MAX: Final = 1_000
"""Names of paths bound at a time, of which there may be any number below what was registered."""
STEP_SECONDS_MAX: Final = 10.0
"""Of one step, until it has the head among it."""
HEAVY_SECONDS: Final = 2.0
"""A step that did not end in time and had the head for so long is tried in smaller ones; a revision that does by itself is passed over, and
the next event that speaks of its names binds them."""


class _Found(NamedTuple):
    """A name that was spoken of, what it stands for now, and since when."""

    name: AssetName
    meant: AssetName
    time: datetime


class _Place(NamedTuple):
    """Where paths lie that are something registered."""

    at: Stretch
    location: str
    registered: Registered
    is_volume: bool


class _Rest(NamedTuple):
    """Names of paths that are still to be bound in the history of an epoch, of what was registered after one revision, up to another."""

    epoch: str
    bound: int
    until: int
    after: Spot


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
        self._rest: _Rest | None = None
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
        """Goes through some revisions, or some names of theirs; whether there are more."""
        with self._database.reading() as connection:
            reader = RegisteringReader(connection)
            bound = reader.bound_revision()
            if self._rest is not None and self._rest[:2] != (head.epoch, bound):
                self._rest = None
            after = self._looked.until if self._looked[:2] == (head.epoch, bound) else bound
            until = min(head.revision, after + max(1, self._changes_max))
            if self._rest is not None:
                until = self._rest.until
            if until <= after:
                return False
            registered = _registered(reader, after, until)
        if registered or until - bound >= CHANGES_MAX:
            self._bind_in_time(snapshot, head.epoch, after, until)
        else:
            self._looked = _Looked(head.epoch, bound, until)
        return self._rest is not None or until < head.revision

    def _bind_in_time(self, snapshot: Snapshot, epoch: str, after: int, until: int) -> None:
        try:
            self._bind(snapshot, epoch, until, passing_over=self._changes_max < 1)
        except _Heavy:
            self._rest = None
            self._changes_max = (until - after) // 2
            logger.warning("binding the names of revisions up to %d takes long: in smaller steps", until)
        else:
            self._changes_max = CHANGES_MAX

    def _bind(self, snapshot: Snapshot, epoch: str, until: int, *, passing_over: bool) -> None:
        """Binds what was registered until then, with recorders waiting: what they told before is seen, what they tell after sees it."""
        deadline = monotonic() + STEP_SECONDS_MAX
        with self._database.transaction(deadline=deadline) as connection:
            store, reader = LineageStore(connection, deadline=deadline), RegisteringReader(connection)
            store.take()
            bound, rest = store.bound_revision, None
            if bound >= until:
                # Another server was faster.
                self._rest = None
                return
            registered = _registered(reader, bound, until)
            if passing_over:
                logger.warning("names of revision %d are left to the events that speak of them", until)
            else:
                after = self._rest.after if self._rest is not None and self._rest.bound == bound else None
                with _told_if_heavy():
                    rest = self._bind_registered(store, reader, snapshot, registered, after)
            if rest is None:
                store.bound_revision = until
            store.keep_ids()
            connection.commit()
        self._rest = _Rest(epoch, bound, until, rest) if rest is not None else None

    def _bind_registered(
        self,
        store: LineageStore,
        reader: RegisteringReader,
        snapshot: Snapshot,
        registered: Sequence[Registered],
        after: Spot | None,
    ) -> Spot | None:
        """Binds the names of what was registered that lineage speaks of and that are nothing's yet, or some of them; behind which there may be more."""
        there = _with_what_is_in_them(reader, snapshot, registered)
        found = self._named(reader, snapshot, there) if after is None else defaultdict(list)
        rest = _lain(reader, _places(reader, snapshot, there), after or Spot("", "", 0), found)
        for metastore_id, names in found.items():
            _bind(store, metastore_id, names)
        return rest

    def _named(
        self, reader: RegisteringReader, snapshot: Snapshot, registered: Sequence[Registered]
    ) -> dict[str, list[_Found]]:
        """By metastore, the full names of tables and views."""
        wanted: dict[tuple[str, str], Registered] = {}
        for each in registered:
            if snapshot.securables[each.id].kind in RELATIONS:
                digest = catalog_digest(name_key(snapshot.full_name(each.id)))
                wanted[_metastore_of(snapshot, each), digest] = each
        found: dict[str, list[_Found]] = defaultdict(list)
        metastore_ids, digests = {metastore for metastore, _ in wanted}, {digest for _, digest in wanted}
        for row in reader.unbound(digests, metastore_ids, FOREVER):
            name = _name_of(row)
            made = wanted.get((row.metastore_id, row.catalog_digest))
            if made is not None and self._is_ours(name, row.metastore_id):
                found[row.metastore_id].append(_Found(name, securable_name(made.id), made.time))
        return found

    def _is_ours(self, name: AssetName, metastore_id: str) -> bool:
        return name.kind is AssetKind.DATASET and is_own(name, hosts_of(self._own_hosts, metastore_id))


def _registered(reader: RegisteringReader, after: int, until: int) -> list[Registered]:
    """What was made or renamed after one revision, up to another."""
    return [*reader.registered(after, until, KINDS), *reader.renamed(after, until, KINDS | CONTAINERS)]


def _with_what_is_in_them(
    reader: RegisteringReader, snapshot: Snapshot, registered: Iterable[Registered]
) -> list[Registered]:
    """Each table, view and volume once that is still there; of a container that was renamed all in it that lineage may speak of."""
    found: dict[str, Registered] = {}
    for each in registered:
        for child_id in _kept_in(reader, snapshot, each.id):
            found.setdefault(child_id, each._replace(id=child_id))
    return [each for each in found.values() if _is_there(snapshot, each)]


def _kept_in(reader: RegisteringReader, snapshot: Snapshot, securable_id: str) -> Iterator[str]:
    """It itself, or what is in a container; its volumes only where lineage speaks of a path in one of them, as each is looked for by itself."""
    securable = snapshot.securables.get(securable_id)
    if securable is None or securable.kind not in CONTAINERS:
        yield securable_id
        return
    metastore_id = snapshot.ancestor(securable_id, "METASTORE") or ""
    place = volume_location(snapshot.full_name(securable_id))
    below = Stretch(metastore_id, f"{place}/", f"{place}0")
    is_told = bool(reader.unbound_at(below, Spot(metastore_id, "", 0), FOREVER, limit=1))
    schemas = snapshot.children(securable_id, "SCHEMA") if securable.kind == "CATALOG" else (securable_id,)
    for schema_id in schemas:
        for kind in sorted(KINDS if is_told else RELATIONS):
            yield from snapshot.children(schema_id, kind)


def _is_there(snapshot: Snapshot, registered: Registered) -> bool:
    securable = snapshot.securables.get(registered.id)
    return securable is not None and securable.kind in KINDS and bool(_metastore_of(snapshot, registered))


def _metastore_of(snapshot: Snapshot, registered: Registered) -> str:
    return snapshot.ancestor(registered.id, "METASTORE") or ""


def _name_of(row: Any) -> AssetName:
    return AssetName(AssetKind(row.kind), row.namespace, row.name)


def _places(reader: RegisteringReader, snapshot: Snapshot, registered: Sequence[Registered]) -> list[_Place]:
    """Where the paths lie that are these: in order, and none in another."""
    # Where its data is stays when it is renamed.
    urls = reader.paths({each.id for each in registered if not each.is_renamed})
    found = []
    for each in registered:
        metastore_id, is_volume = (
            _metastore_of(snapshot, each),
            snapshot.securables[each.id].kind == VOLUME,
        )
        called = [volume_location(snapshot.full_name(each.id))] if is_volume else []
        for place in (*urls.get(each.id, ()), *called):
            # Itself, for which no longer text comes before a letter; and what is below, as `0` follows `/`.
            for start, end in ((place, f"{place}\x01"), (f"{place}/", f"{place}0")):
                found.append(_Place(Stretch(metastore_id, start, end), place, each, is_volume))
    return sorted(found)


def _lain(
    reader: RegisteringReader, places: Sequence[_Place], after: Spot, found: dict[str, list[_Found]]
) -> Spot | None:
    """Adds the names of paths behind a spot, as many as a step takes; the last of them where there may be more."""
    left = NAMES_MAX
    for place in places:
        metastore_id = place.at.metastore_id
        if (metastore_id, place.at.end) <= after[:2]:
            continue
        spot = after if metastore_id == after.metastore_id else Spot(metastore_id, "", 0)
        rows = reader.unbound_at(place.at, spot, FOREVER, limit=left)
        for row in rows:
            file_path = row.location[len(place.location) + 1 :] if place.is_volume else ""
            meant = securable_name(place.registered.id, file_path)
            found[metastore_id].append(_Found(_name_of(row), meant, place.registered.time))
        left -= len(rows)
        if not left:
            return Spot(metastore_id, rows[-1].location, rows[-1].id)
    return None


def _bind(store: LineageStore, metastore_id: str, found: Collection[_Found]) -> None:
    """Says of names what they are from when it was registered on, which is what they were before where they were nothing else's."""
    places = Places(store, metastore_id, "")
    told = {
        Link(min(each.name, each.meant), max(each.name, each.meant), microseconds_of(each.time))
        for each in found
    }
    places.learn({name for link in told for name in (link.one, link.other)})
    places.link(told)
    places.settle()
    Weaver(store, places, metastore_id).weave({}, {}, {}, {}, ())

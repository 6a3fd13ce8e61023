"""Worlds of any size as plain rows, and questions about them with a known mix of answers. Seeded: every run asks alike."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from lakewarden_policy import Grant, Head, Membership, Principal, Securable, Snapshot

SEED = 20_261_120
METASTORE = "metastore-0"
WORKSPACE = "workspace-0"
GROUP_DEPTH_MAX = 4
ALLOWED_SHARE = 0.4
PLACES = ("schema in use", "catalog in use", "anywhere")


class Size(NamedTuple):
    """How large a world is."""

    users: int = 10_000
    groups: int = 1_000
    catalogs: int = 100
    schemas_per_catalog: int = 20
    tables_per_schema: int = 50
    grants: int = 100_000
    closure: int = 12
    """Mean number of principals a user stands for: itself, its groups at any distance, `account users`."""


class Question(NamedTuple):
    """May this user SELECT from this table? By names, as an engine asks."""

    user: str
    table: str


@dataclass
class World:
    """Rows as the snapshot takes them. Every group with grants may enter one catalog and some of its schemas."""

    size: Size
    principals: list[Principal] = field(default_factory=list)
    memberships: list[Membership] = field(default_factory=list)
    securables: list[Securable] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    holders: dict[str, list[str]] = field(default_factory=dict)
    """Group id -> full names of the tables its members may read."""
    entered: dict[str, list[str]] = field(default_factory=dict)
    """Group id -> full names of the schemas its members may use."""
    groups_of: dict[str, list[str]] = field(default_factory=dict)
    """User name -> ids of the user's groups, at any distance, that hold grants."""

    def snapshot(self) -> Snapshot:
        """The snapshot production builds from such rows."""
        return Snapshot.build(
            Head("bench", 1, "nonce"),
            principals=self.principals,
            memberships=self.memberships,
            securables=self.securables,
            grants=self.grants,
            tokens=(),
        )


def make_world(size: Size, *, metastore: str = METASTORE, workspace: str = WORKSPACE) -> World:
    """The world of a size. `metastore` and `workspace` are ids: rows already there when a server's database is filled."""
    rng = random.Random(SEED)
    world = World(size)
    parents = _add_groups(world, rng)
    _add_tree(world, metastore, workspace)
    _add_group_grants(world, rng, workspace)
    _add_users(world, rng, parents)
    _add_user_grants(world, rng)
    return world


def ask(world: World, count: int, *, seed: int) -> list[Question]:
    """Fresh questions: two fifths lead to a table the user may read, the rest in equal parts near, far and anywhere."""
    rng = random.Random(seed)
    users = askable(world)
    return [_question(world, rng, rng.choice(users)) for _ in range(count)]


def ask_as(world: World, user: str, count: int, *, seed: int) -> list[Question]:
    """The same mix of questions, all about one user."""
    rng = random.Random(seed)
    return [_question(world, rng, user) for _ in range(count)]


def askable(world: World) -> list[str]:
    """Names of the users with a group that holds grants, in the order they were made."""
    return [principal.name for principal in world.principals if world.groups_of.get(principal.name)]


def _question(world: World, rng: random.Random, user: str) -> Question:
    group = rng.choice(world.groups_of[user])
    if rng.random() < ALLOWED_SHARE:
        return Question(user, rng.choice(world.holders[group]))
    schema = rng.choice(world.entered[group])
    catalog = schema.partition(".")[0]
    place = rng.choice(PLACES)
    if place == "catalog in use":
        schema = f"{catalog}.schema_{rng.randrange(world.size.schemas_per_catalog)}"
    elif place == "anywhere":
        schema = f"catalog_{rng.randrange(world.size.catalogs)}.schema_{rng.randrange(world.size.schemas_per_catalog)}"
    return Question(user, f"{schema}.table_{rng.randrange(world.size.tables_per_schema)}")


def _add_groups(world: World, rng: random.Random) -> list[tuple[int, ...]]:
    """Groups in trees of at most `GROUP_DEPTH_MAX` levels; returns each group with all groups above it."""
    chains: list[tuple[int, ...]] = []
    for number in range(world.size.groups):
        world.principals.append(Principal(_group(number), "GROUP", _group(number), _group(number), True))
        parent = rng.randrange(number) if number and rng.random() < 0.7 else None
        if parent is None or len(chains[parent]) >= GROUP_DEPTH_MAX:
            chains.append((number,))
            continue
        chains.append((number, *chains[parent]))
        world.memberships.append(Membership(_group(parent), _group(number)))
    return chains


def _add_users(world: World, rng: random.Random, chains: list[tuple[int, ...]]) -> None:
    """Users join groups until they stand for as many principals as drawn for them, around the mean wanted."""
    mean = world.size.closure - 2
    for number in range(world.size.users):
        name = f"user_{number}@example.com"
        world.principals.append(Principal(f"user-{number}", "USER", name, name, True))
        wanted = rng.randint(max(1, mean - mean // 2), mean + mean // 2)
        reached: set[int] = set()
        while len(reached) < wanted:
            group = rng.randrange(len(chains))
            if group not in reached and len(reached | set(chains[group])) <= wanted + 1:
                reached.update(chains[group])
                world.memberships.append(Membership(_group(group), f"user-{number}"))
        world.groups_of[name] = [_group(group) for group in sorted(reached) if _group(group) in world.holders]


def _add_tree(world: World, metastore: str, workspace: str) -> None:
    rows = world.securables
    if metastore == METASTORE:
        rows.append(Securable(metastore, "METASTORE", "account", None, "m", "m", None, 1))
        rows.append(Securable(workspace, "WORKSPACE", "account", metastore, "w", "w", None, 1))
    for catalog, schema, table in _tree(world.size):
        if not schema and not table:
            rows.append(_securable(f"catalog_{catalog}", "CATALOG", metastore, metastore))
        if not table:
            rows.append(
                _securable(f"catalog_{catalog}.schema_{schema}", "SCHEMA", f"catalog_{catalog}", metastore)
            )
        parent = f"catalog_{catalog}.schema_{schema}"
        rows.append(_securable(f"{parent}.table_{table}", "TABLE", parent, metastore))


def _tree(size: Size) -> Iterator[tuple[int, int, int]]:
    for catalog in range(size.catalogs):
        for schema in range(size.schemas_per_catalog):
            for table in range(size.tables_per_schema):
                yield catalog, schema, table


def _securable(full_name: str, kind: str, parent: str, metastore: str) -> Securable:
    name = full_name.rpartition(".")[2]
    return Securable(full_name, kind, parent, metastore, name, name, None, 1)


def _add_group_grants(world: World, rng: random.Random, workspace: str) -> None:
    """Up to 100 grants a group: one catalog, a tenth of them schemas, the rest tables in those schemas."""
    size = world.size
    world.grants.append(Grant(workspace, "account-users", "USER"))
    world.grants.append(Grant(workspace, "account-users", "USE_TOKENS"))
    share = min(100, max(10, size.grants // size.groups))
    for number in range(min(size.groups, size.grants // share)):
        group, catalog = _group(number), f"catalog_{rng.randrange(size.catalogs)}"
        schema_count = min(max(1, share // 10 - 1), size.schemas_per_catalog)
        schemas = [
            f"{catalog}.schema_{at}" for at in rng.sample(range(size.schemas_per_catalog), schema_count)
        ]
        places = [f"{schema}.table_{at}" for schema in schemas for at in range(size.tables_per_schema)]
        tables = rng.sample(places, min(share - 1 - schema_count, len(places)))
        world.entered[group], world.holders[group] = schemas, tables
        world.grants.append(Grant(catalog, group, "USE_CATALOG"))
        world.grants.extend(Grant(schema, group, "USE_SCHEMA") for schema in schemas)
        world.grants.extend(Grant(table, group, "SELECT") for table in tables)


def _add_user_grants(world: World, rng: random.Random) -> None:
    """Whatever groups leave over goes to single users on single tables, as in an account that grew for years."""
    size = world.size
    tables = [row.id for row in world.securables if row.kind == "TABLE"]
    known: set[tuple[str, str]] = set()
    assigned = 1
    while len(world.grants) + len(known) < size.grants + assigned:
        known.add((rng.choice(tables), f"user-{rng.randrange(size.users)}"))
    world.grants.extend(Grant(table, user, "SELECT") for table, user in sorted(known))


def _group(number: int) -> str:
    return f"group_{number}"

"""The governed world of the demo: a metastore, a workspace, the tables, people in nested groups, and an engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lakewarden import Client
from lakewarden_server.demo.expected import ANALYST, AUDITOR, PEOPLE, SUPPLY_CHAIN
from lakewarden_server.demo.lake import CATALOG, SCHEMA, TABLES, Lake
from lakewarden_server.testing import EmbeddedServer

METASTORE = "lake"
WORKSPACE = "analytics"
ENGINE_TOKEN_SECONDS = 3_600

EVERYBODY = "lake-users"
SALES, SALES_EMEA = "sales", "sales-emea"
SUPPLY = "supply-chain"
AUDIT = "auditors"
ANALYSTS_SEGMENT = "BUILDING"
MEMBERS = {
    SALES_EMEA: (ANALYST,),
    SALES: (SALES_EMEA,),
    SUPPLY: (SUPPLY_CHAIN,),
    AUDIT: (AUDITOR,),
    EVERYBODY: (SALES, SUPPLY, AUDIT),
}
"""Group -> members, inner groups first. The analyst holds what `lake-users` holds through two groups in between."""

GRANTS = (
    (EVERYBODY, ("USE CATALOG", "BROWSE"), "catalog", (CATALOG,)),
    (EVERYBODY, ("SELECT",), "table", ("nation", "region")),
    (SALES, ("USE SCHEMA",), "schema", (SCHEMA,)),
    (SALES, ("SELECT",), "table", ("customer", "orders", "lineitem")),
    (SUPPLY, ("USE SCHEMA",), "schema", (SCHEMA,)),
    (SUPPLY, ("SELECT",), "table", ("part", "partsupp", "supplier", "lineitem")),
    (AUDIT, ("USE SCHEMA", "SELECT"), "schema", (SCHEMA,)),
)
"""Group, privileges, kind, names. BROWSE lets a denied person see what is missing; the auditors' SELECT covers the schema."""


@dataclass(frozen=True)
class World:
    """The running server, its admin and the engine that asks for the people."""

    server: EmbeddedServer
    admin: Client
    engine: Client


def build_world(server: EmbeddedServer, lake: Lake) -> World:
    """Sets everything up from an account with nothing in it but its admin."""
    account = server.client()
    account.metastores.create(METASTORE, comment="the demo's metastore")
    account.workspaces.create(WORKSPACE, metastore=METASTORE, omit_catalog=True)
    admin = server.client(workspace=WORKSPACE)
    _register(admin, lake)
    _people(admin)
    _grant(admin)
    return World(server, admin, _engine(server, admin))


def grants_as_text() -> Iterable[tuple[str, str]]:
    """The grants for people: group and `SELECT on customer, orders`."""
    for group, privileges, _, names in GRANTS:
        yield group, f"{', '.join(privileges)} on {', '.join(names)}"


def _register(admin: Client, lake: Lake) -> None:
    admin.catalogs.create(CATALOG, comment="TPC-H")
    admin.schemas.create(SCHEMA)
    for table in TABLES:
        admin.tables.create(f"{SCHEMA}.{table}", arrow_schema=lake.arrow_schema(table))


def _people(admin: Client) -> None:
    for person in PEOPLE:
        admin.users.create(person)
    for group, members in MEMBERS.items():
        admin.groups.create(group)
        admin.groups.update_members(group, add=members)
    admin.grants.grant("USER", "workspace", WORKSPACE, EVERYBODY)


def _grant(admin: Client) -> None:
    for group, privileges, kind, names in GRANTS:
        for name in names:
            full_name = f"{SCHEMA}.{name}" if kind == "table" else name
            admin.grants.grant(privileges, kind, full_name, group)


def _engine(server: EmbeddedServer, admin: Client) -> Client:
    """A service principal that holds no grant on any data: it may only ask for others."""
    engine = admin.service_principals.create("the DuckDB engine")
    admin.grants.grant("QUERY_ENGINE", "workspace", WORKSPACE, engine.name)
    token = admin.tokens.create(principal=engine.name, lifetime_seconds=ENGINE_TOKEN_SECONDS)
    return server.client(token.token_value, workspace=WORKSPACE)

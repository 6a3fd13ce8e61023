"""One principal for every role of the who-may table, each holding exactly what its role says."""

from __future__ import annotations

from collections.abc import Mapping

from access import definitions
from lakewarden import Client
from lakewarden_server.testing import EmbeddedServer

ROLES: Mapping[str, str] = {
    "acc": "account admin, owns nothing",
    "met": "owner of the metastore",
    "cat": "owner of the catalog",
    "sch": "owner of the schema, USE CATALOG",
    "tab": "owner of the tables (one is deleted) and of all beside them, USE CATALOG, USE SCHEMA",
    "man": "MANAGE on the catalog and nothing else",
    "mug": "MANAGE, USE CATALOG and USE SCHEMA on the catalog",
    "use": "USE CATALOG and USE SCHEMA on the catalog",
    "sel": "USE CATALOG, USE SCHEMA, SELECT on the table",
    "mod": "as sel, and MODIFY",
    "bro": "BROWSE on the catalog",
    "grp": "as sel, by a group in a group",
    "wsa": "admin of the workspace",
    "una": "MANAGE, SELECT and both USE on the catalog, but not assigned to the workspace",
    "oth": "as una, calling from a workspace of another metastore",
}
GRANTS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "acc": (("ADMIN", "account", "account"),),
    "sch": (("USE CATALOG", "catalog", "main"),),
    "tab": (("USE CATALOG", "catalog", "main"), ("USE SCHEMA", "schema", "main.sales")),
    "man": (("MANAGE", "catalog", "main"),),
    "mug": (
        ("MANAGE", "catalog", "main"),
        ("USE CATALOG", "catalog", "main"),
        ("USE SCHEMA", "catalog", "main"),
    ),
    "use": (("USE CATALOG", "catalog", "main"), ("USE SCHEMA", "catalog", "main")),
    "sel": (
        ("USE CATALOG", "catalog", "main"),
        ("USE SCHEMA", "schema", "main.sales"),
        ("SELECT", "table", "main.sales.orders"),
    ),
    "mod": (
        ("USE CATALOG", "catalog", "main"),
        ("USE SCHEMA", "schema", "main.sales"),
        ("SELECT", "table", "main.sales.orders"),
        ("MODIFY", "table", "main.sales.orders"),
    ),
    "bro": (("BROWSE", "catalog", "main"),),
    "wsa": (("ADMIN", "workspace", "workspace"),),
    "una": (
        ("MANAGE", "catalog", "main"),
        ("USE CATALOG", "catalog", "main"),
        ("USE SCHEMA", "catalog", "main"),
        ("SELECT", "catalog", "main"),
    ),
}
WORKSPACE_OF = {"oth": "remote"}


def email(role: str) -> str:
    """Name of the user who plays a role."""
    return f"{role}@example.com"


def cast(server: EmbeddedServer) -> dict[str, str]:
    """Builds the world and returns a token for each role."""
    admin = server.client()
    admin.metastores.create("elsewhere")
    admin.workspaces.create("remote", metastore="elsewhere", omit_catalog=True)
    admin.catalogs.create("main")
    admin.schemas.create("main.sales")
    admin.tables.create("main.sales.orders", [{"name": "id", "type_text": "BIGINT"}])
    admin.tables.create("main.sales.gone")
    admin.volumes.create("main.sales.receipts")
    admin.models.create("main.sales.churn")
    admin.models.create_version("main.sales.churn")
    definitions.create_all(admin)
    for role in ROLES:
        admin.users.create(email(role))
        if role not in {"una", "oth", "wsa"}:
            admin.grants.grant("USER", "workspace", "workspace", email(role))
        for privilege, kind, name in GRANTS.get("una" if role == "oth" else role, ()):
            admin.grants.grant(privilege, kind, name, email(role))
    admin.grants.grant("USER", "workspace", "remote", email("oth"))
    _nest(admin)
    admin.tables.set_owner("main.sales.orders", email("tab"))
    admin.tables.set_owner("main.sales.gone", email("tab"))
    admin.tables.delete("main.sales.gone")
    admin.volumes.set_owner("main.sales.receipts", email("tab"))
    admin.models.set_owner("main.sales.churn", email("tab"))
    definitions.give_away(admin)
    admin.schemas.set_owner("main.sales", email("sch"))
    admin.catalogs.set_owner("main", email("cat"))
    admin.metastores.set_owner("metastore", email("met"))
    return {role: server.issue_token(email(role)) for role in ROLES}


def _nest(admin: Client) -> None:
    """The reader's rights by a group inside a group."""
    admin.groups.create("readers")
    admin.groups.create("analysts")
    admin.groups.update_members("readers", add=["analysts"])
    admin.groups.update_members("analysts", add=[email("grp")])
    for privilege, kind, name in GRANTS["sel"]:
        admin.grants.grant(privilege, kind, name, "readers")

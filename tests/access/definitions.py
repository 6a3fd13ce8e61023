"""Views, materialized views, streaming tables and functions in the access tests: who may do what, and their requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lakewarden import Client

OWNER = "tab@example.com"
SALES = "main.sales"
STALE = "stale"
NAMES = {"view": "big", "materialized_view": "daily", "streaming_table": "clicks", "function": "masked"}
QUERY = "SELECT 1 AS a"

# Columns and marks as in test_who_may.py. The role `tab` owns the table and everything here.
TABLE = """
                            acc met cat sch tab man mug use sel mod bro grp wsa una oth
view.create                  .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
view.get                     .   +   +   +   +   .   +   .   .   .   +   .   .   .   .
view.comment                 .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
view.rename                  .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
view.transfer                .   +   .   .   .   .   .   .   .   .   .   .   .   .   .
view.redefine                .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
view.delete                  .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
view.grant                   .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
view.use                     .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
materialized_view.create     .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
materialized_view.get        .   +   +   +   +   .   +   .   .   .   +   .   .   .   .
materialized_view.comment    .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
materialized_view.rename     .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
materialized_view.transfer   .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
materialized_view.redefine   .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
materialized_view.delete     .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
materialized_view.grant      .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
materialized_view.use        .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
materialized_view.refresh    .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
streaming_table.create       .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
streaming_table.get          .   +   +   +   +   .   +   .   .   .   +   .   .   .   .
streaming_table.comment      .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
streaming_table.rename       .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
streaming_table.transfer     .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
streaming_table.redefine     .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
streaming_table.delete       .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
streaming_table.grant        .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
streaming_table.use          .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
function.create              .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
function.get                 .   +   +   +   +   .   +   .   .   .   +   .   .   .   .
function.comment             .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
function.rename              .   .   .   +   .   .   .   .   .   .   .   .   .   .   .
function.transfer            .   +   .   .   .   .   .   .   .   .   .   .   .   .   .
function.redefine            .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
function.delete              .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
function.grant               .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
function.use                 .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
table.set-filter             .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
table.set-mask               .   .   .   .   +   .   .   .   .   .   .   .   .   .   .
table.drop-filter            .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
table.drop-mask              .   +   +   +   +   .   +   .   .   .   .   .   .   .   .
"""


def create_all(admin: Client, schema: str = SALES, *, name: str = "") -> None:
    """One object of each kind, called as in NAMES or `name` with its kind."""
    for kind, own in NAMES.items():
        full_name = f"{schema}.{own if not name else kind + name}"
        if kind == "function":
            admin.functions.create(full_name, ["x VARCHAR"], "BOOLEAN", "x IS NULL")
        else:
            getattr(admin, f"{kind}s").create(full_name, QUERY)


def give_away(admin: Client) -> None:
    """Makes OWNER the owner of everything here."""
    for kind, own in NAMES.items():
        getattr(admin, f"{kind}s").set_owner(f"{SALES}.{own}", OWNER)


def rpc(kind: str, verb: str, *, plural: str = "") -> str:
    """`rpc("view", "Create")` is `ViewService/CreateView`."""
    noun = "".join(word.capitalize() for word in kind.split("_"))
    return f"{noun}Service/{verb}{noun}{plural}"


def field(kind: str) -> str:
    """The request's field that holds the object, as JSON spells it."""
    first, *others = kind.split("_")
    return first + "".join(map(str.capitalize, others))


def definition(kind: str) -> dict[str, Any]:
    """The least an object of the kind is created from."""
    return {"definition": "1", "returnTypeText": "INT"} if kind == "function" else {"definition": QUERY}


def _acts() -> Iterator[tuple[str, tuple[str, dict[str, Any]]]]:
    for kind, name in NAMES.items():
        full_name, held = f"{SALES}.{name}", "EXECUTE" if kind == "function" else "SELECT"
        created = {"parent": SALES, field(kind): {"name": name, **definition(kind)}}
        yield f"{kind}.create", (rpc(kind, "Create"), created)
        yield f"{kind}.get", (rpc(kind, "Get"), {"fullName": full_name})
        changes: dict[str, tuple[str, dict[str, Any]]] = {
            "comment": ("comment", {}),
            "rename": ("name", {"name": "x"}),
            "transfer": ("owner", {"owner": "sel@example.com"}),
            "redefine": ("definition", {"definition": QUERY if kind != "function" else "1"}),
        }
        for act, (path, values) in changes.items():
            message = {"fullName": full_name, "etag": STALE, **values}
            yield f"{kind}.{act}", (rpc(kind, "Update"), {field(kind): message, "updateMask": path})
        yield f"{kind}.delete", (rpc(kind, "Delete"), {"fullName": full_name, "etag": STALE})
        change = {"action": "GRANT", "principal": "unknown principal", "privileges": [held]}
        about = {"securableType": kind.upper(), "fullName": full_name}
        yield f"{kind}.grant", ("GrantService/UpdateGrants", {**about, "changes": [change]})
        yield f"{kind}.use", ("AuthorizationService/Check", {"access": {**about, "privilege": held}})
    yield (
        "materialized_view.refresh",
        (
            "MaterializedViewService/RefreshMaterializedView",
            {"fullName": f"{SALES}.daily", "etag": STALE},
        ),
    )
    orders = {"fullName": f"{SALES}.orders", "etag": STALE}
    masked = {"function": f"{SALES}.masked"}
    yield "table.set-filter", ("TableService/SetRowFilter", {**orders, "rowFilter": masked})
    yield "table.drop-filter", ("TableService/DropRowFilter", orders)
    yield "table.set-mask", ("TableService/SetColumnMask", {**orders, "column": "id", "columnMask": masked})
    yield "table.drop-mask", ("TableService/DropColumnMask", {**orders, "column": "id"})


ACTS: Mapping[str, tuple[str, Mapping[str, Any]]] = dict(_acts())
ASKED_ELSEWHERE = {rpc(kind, "List", plural="s"): "filtered, never refused; test_lists.py" for kind in NAMES}


def requests(owner: str) -> dict[str, Mapping[str, Any]]:
    """For every RPC here a request that would succeed for the admin."""
    found: dict[str, Mapping[str, Any]] = {}
    for kind, name in NAMES.items():
        full_name = f"{SALES}.{name}"
        found[rpc(kind, "Create")] = {"parent": SALES, field(kind): {"name": "mine", **definition(kind)}}
        found[rpc(kind, "Get")] = found[rpc(kind, "Delete")] = {"fullName": full_name}
        found[rpc(kind, "List", plural="s")] = {"parent": SALES}
        found[rpc(kind, "Update")] = {
            field(kind): {"fullName": full_name, "owner": owner}, "updateMask": "owner",
        }  # fmt: skip
    found["MaterializedViewService/RefreshMaterializedView"] = {"fullName": f"{SALES}.daily"}
    orders, masked = {"fullName": f"{SALES}.orders"}, {"function": f"{SALES}.masked"}
    found["TableService/SetRowFilter"] = {**orders, "rowFilter": {**masked, "columns": ["id"]}}
    found["TableService/DropRowFilter"] = orders
    found["TableService/SetColumnMask"] = {**orders, "column": "id", "columnMask": masked}
    found["TableService/DropColumnMask"] = {**orders, "column": "id"}
    return found


def bodies(name: str) -> dict[str, Mapping[str, Any]]:
    """For every RPC here a request about `name`, wrong in ways that a caller must not be told of."""
    found: dict[str, Mapping[str, Any]] = {}
    for kind in NAMES:
        found[rpc(kind, "Create")] = {"parent": name, field(kind): {"name": "new", "definition": "not sql ("}}
        found[rpc(kind, "Get")] = found[rpc(kind, "Delete")] = {"fullName": name}
        found[rpc(kind, "List", plural="s")] = {"parent": name}
        found[rpc(kind, "Update")] = {
            field(kind): {"fullName": name, "definition": ";"}, "updateMask": "name,definition,nonsense",
        }  # fmt: skip
    found["MaterializedViewService/RefreshMaterializedView"] = {"fullName": name, "etag": STALE}
    about = {"fullName": name, "column": "id"}
    found["TableService/SetRowFilter"] = {"fullName": name, "rowFilter": {"function": "main.room.f"}}
    found["TableService/DropRowFilter"] = {"fullName": name}
    found["TableService/SetColumnMask"] = {**about, "columnMask": {"function": "main.room.f"}}
    found["TableService/DropColumnMask"] = about
    return found

"""The client methods and commands of views, materialized views, streaming tables, functions, filters and masks, by RPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lakewarden import Client

METHODS: dict[str, Callable[[Client], Any]] = {
    "ViewService/CreateView": lambda client: client.views.create("a.b.c", "SELECT 1", columns=["id"]),
    "ViewService/DeleteView": lambda client: client.views.delete("a.b.c", etag="e"),
    "ViewService/GetView": lambda client: client.views.get("a.b.c"),
    "ViewService/ListViews": lambda client: list(client.views.list("a.b")),
    "ViewService/UpdateView": lambda client: client.views.redefine("a.b.c", "SELECT 2", dialect="spark"),
    "MaterializedViewService/CreateMaterializedView": lambda client: client.materialized_views.create(
        "a.b.c", "SELECT 1", columns=["id"]
    ),
    "MaterializedViewService/DeleteMaterializedView": lambda client: client.materialized_views.delete(
        "a.b.c", etag="e"
    ),
    "MaterializedViewService/GetMaterializedView": lambda client: client.materialized_views.get("a.b.c"),
    "MaterializedViewService/ListMaterializedViews": lambda client: list(
        client.materialized_views.list("a.b")
    ),
    "MaterializedViewService/UpdateMaterializedView": lambda client: client.materialized_views.redefine(
        "a.b.c", "SELECT 2", dialect="spark"
    ),
    "StreamingTableService/CreateStreamingTable": lambda client: client.streaming_tables.create(
        "a.b.c", "SELECT 1", columns=["id"]
    ),
    "StreamingTableService/DeleteStreamingTable": lambda client: client.streaming_tables.delete(
        "a.b.c", etag="e"
    ),
    "StreamingTableService/GetStreamingTable": lambda client: client.streaming_tables.get("a.b.c"),
    "StreamingTableService/ListStreamingTables": lambda client: list(client.streaming_tables.list("a.b")),
    "StreamingTableService/UpdateStreamingTable": lambda client: client.streaming_tables.redefine(
        "a.b.c", "SELECT 2", dialect="spark"
    ),
    "MaterializedViewService/RefreshMaterializedView": lambda client: client.materialized_views.refresh(
        "a.b.c"
    ),
    "FunctionService/CreateFunction": lambda client: client.functions.create("a.b.f", ["x INT"], "INT", "x"),
    "FunctionService/DeleteFunction": lambda client: client.functions.delete("a.b.f", etag="e"),
    "FunctionService/GetFunction": lambda client: client.functions.get("a.b.f"),
    "FunctionService/ListFunctions": lambda client: list(client.functions.list("a.b")),
    "FunctionService/UpdateFunction": lambda client: client.functions.redefine("a.b.f", "1"),
    "TableService/DropColumnMask": lambda client: client.tables.drop_column_mask("a.b.c", "id"),
    "TableService/DropRowFilter": lambda client: client.tables.drop_row_filter("a.b.c"),
    "TableService/SetColumnMask": lambda client: client.tables.set_column_mask(
        "a.b.c", "id", "a.b.f", using=["d"]
    ),
    "TableService/SetRowFilter": lambda client: client.tables.set_row_filter("a.b.c", "a.b.f", ["id"]),
}

COMMANDS: tuple[tuple[str, str], ...] = (
    ("ViewService/CreateView", "view create a.b.c --definition SELECT --column id"),
    ("ViewService/DeleteView", "view delete a.b.c --yes"),
    ("ViewService/GetView", "view get a.b.c"),
    ("ViewService/ListViews", "view list a.b"),
    ("ViewService/UpdateView", "view owner a.b.c admins"),
    ("ViewService/UpdateView", "view redefine a.b.c --definition SELECT"),
    ("ViewService/UpdateView", "view rename a.b.c d"),
    ("ViewService/UpdateView", "view update a.b.c --comment c"),
    (
        "MaterializedViewService/CreateMaterializedView",
        "materialized-view create a.b.c --definition SELECT --column id",
    ),
    ("MaterializedViewService/DeleteMaterializedView", "materialized-view delete a.b.c --yes"),
    ("MaterializedViewService/GetMaterializedView", "materialized-view get a.b.c"),
    ("MaterializedViewService/ListMaterializedViews", "materialized-view list a.b"),
    ("MaterializedViewService/UpdateMaterializedView", "materialized-view owner a.b.c admins"),
    (
        "MaterializedViewService/UpdateMaterializedView",
        "materialized-view redefine a.b.c --definition SELECT",
    ),
    ("MaterializedViewService/UpdateMaterializedView", "materialized-view rename a.b.c d"),
    ("MaterializedViewService/UpdateMaterializedView", "materialized-view update a.b.c --comment c"),
    (
        "StreamingTableService/CreateStreamingTable",
        "streaming-table create a.b.c --definition SELECT --column id",
    ),
    ("StreamingTableService/DeleteStreamingTable", "streaming-table delete a.b.c --yes"),
    ("StreamingTableService/GetStreamingTable", "streaming-table get a.b.c"),
    ("StreamingTableService/ListStreamingTables", "streaming-table list a.b"),
    ("StreamingTableService/UpdateStreamingTable", "streaming-table owner a.b.c admins"),
    ("StreamingTableService/UpdateStreamingTable", "streaming-table redefine a.b.c --definition SELECT"),
    ("StreamingTableService/UpdateStreamingTable", "streaming-table rename a.b.c d"),
    ("StreamingTableService/UpdateStreamingTable", "streaming-table update a.b.c --comment c"),
    ("MaterializedViewService/RefreshMaterializedView", "materialized-view refresh a.b.c"),
    (
        "FunctionService/CreateFunction",
        "function create a.b.f --parameter id_INT --returns INT --definition x",
    ),
    ("FunctionService/DeleteFunction", "function delete a.b.f --yes"),
    ("FunctionService/GetFunction", "function get a.b.f"),
    ("FunctionService/ListFunctions", "function list a.b"),
    ("FunctionService/UpdateFunction", "function owner a.b.f admins"),
    ("FunctionService/UpdateFunction", "function redefine a.b.f --definition 1"),
    ("FunctionService/UpdateFunction", "function rename a.b.f g"),
    ("FunctionService/UpdateFunction", "function update a.b.f --comment c"),
    ("TableService/DropColumnMask", "table drop-mask a.b.c id"),
    ("TableService/DropRowFilter", "table drop-row-filter a.b.c"),
    ("TableService/SetColumnMask", "table set-mask a.b.c id a.b.f --using d"),
    ("TableService/SetRowFilter", "table set-row-filter a.b.c a.b.f --column id"),
)

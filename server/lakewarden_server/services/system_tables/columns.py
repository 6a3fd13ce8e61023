"""Which system tables there are and which columns each has, in the documented order (semantics 8.3, 8.4).

`name:type` says the type of a column; without one it is text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from lakewarden import _audit_export

SYSTEM: Final = "system"
INFORMATION_SCHEMA: Final = "information_schema"
ACCESS: Final = "access"

_CHANGED: Final = "created:time created_by last_altered:time last_altered_by"
_SIZES: Final = (
    "character_maximum_length:long character_octet_length:long numeric_precision:int numeric_precision_radix:int"
    " numeric_scale:int datetime_precision:int interval_type interval_precision:int maximum_cardinality:long"
)
_GRANTED: Final = "privilege_type is_grantable inherited_from"
_TAG: Final = "tag_name tag_value"
_TABLE: Final = "table_catalog table_schema table_name"
_ROUTINE: Final = "specific_catalog specific_schema specific_name routine_catalog routine_schema routine_name"


def _lineage(source_column: str = "", target_column: str = "") -> str:
    def end(name: str, column: str) -> str:
        return (
            f"{name}_table_full_name {name}_table_catalog {name}_table_schema {name}_table_name {name}_path"
            f" {name}_type {column}"
        )

    return (
        "account_id metastore_id workspace_id entity_type entity_id entity_run_id"
        f" {end('source', source_column)} {end('target', target_column)}"
        " created_by event_time:time event_date:date record_id event_id statement_id entity_metadata:entity"
    )


IN_EVERY_CATALOG: Final[Mapping[str, str]] = {
    "information_schema_catalog_name": "catalog_name",
    "catalogs": f"catalog_name catalog_owner comment {_CHANGED} url",
    "schemata": f"catalog_name schema_name schema_owner comment {_CHANGED} url",
    "tables": f"{_TABLE} table_type is_insertable_into commit_action table_owner comment {_CHANGED}"
    " data_source_format storage_sub_directory storage_path",
    "columns": f"{_TABLE} column_name ordinal_position:int column_default is_nullable full_data_type data_type {_SIZES}"
    " is_identity identity_generation identity_start identity_increment identity_maximum identity_minimum identity_cycle"
    " is_generated generation_expression is_system_time_period_start is_system_time_period_end"
    " system_time_period_timestamp_generation is_updatable partition_index:int comment",
    "views": f"{_TABLE} view_definition check_option is_updatable is_insertable_into sql_path is_materialized",
    "volumes": "volume_catalog volume_schema volume_name volume_type volume_owner comment storage_location"
    f" {_CHANGED}",
    "routines": f"{_ROUTINE} routine_owner routine_type data_type full_data_type {_SIZES} routine_body routine_definition"
    " external_name external_language parameter_style is_deterministic sql_data_access is_null_call security_type sql_path"
    f" comment {_CHANGED}",
    "catalog_privileges": f"grantor grantee catalog_name {_GRANTED}",
    "schema_privileges": f"grantor grantee catalog_name schema_name {_GRANTED}",
    "table_privileges": f"grantor grantee {_TABLE} {_GRANTED}",
    "volume_privileges": f"grantor grantee volume_catalog volume_schema volume_name {_GRANTED}",
    "routine_privileges": f"grantor grantee {_ROUTINE} {_GRANTED}",
    "catalog_tags": f"catalog_name {_TAG}",
    "schema_tags": f"catalog_name schema_name {_TAG}",
    "table_tags": f"catalog_name schema_name table_name {_TAG}",
    "column_tags": f"catalog_name schema_name table_name column_name {_TAG}",
    "volume_tags": f"catalog_name schema_name volume_name {_TAG}",
    "row_filters": f"{_TABLE} filter_name target_columns",
    "column_masks": f"{_TABLE} column_name mask_name using_columns",
}
"""Tables of `information_schema`; a catalog's is about what is in it."""
OF_THE_METASTORE: Final[Mapping[str, str]] = {
    "metastores": "metastore_id metastore_name metastore_owner storage_root storage_root_credential_id"
    " storage_root_credential_name delta_sharing_scope delta_sharing_recipient_token_lifetime:long"
    " delta_sharing_organization_name privilege_model_version cloud region global_metastore_id"
    f" {_CHANGED}",
    "metastore_privileges": f"grantor grantee metastore_id {_GRANTED}",
    "external_location_privileges": f"grantor grantee external_location_name {_GRANTED}",
    "storage_credential_privileges": f"grantor grantee storage_credential_name {_GRANTED}",
    "connection_privileges": f"grantor grantee connection_name {_GRANTED}",
}
"""Tables of `system.information_schema` alone."""
OF_ACCESS: Final[Mapping[str, str]] = {
    "table_lineage": _lineage(),
    "column_lineage": _lineage("source_column_name", "target_column_name"),
    "audit": "account_id workspace_id version event_time:time event_date:date source_ip_address user_agent session_id"
    " user_identity:audit service_name action_name request_id request_params:audit response:audit audit_level event_id"
    " identity_metadata:audit",
}
"""Tables of `system.access`."""


class Column(NamedTuple):
    """A column and its type: text, int, long, time, date, entity, or audit for what an exported audit has there."""

    name: str
    type: str

    def arrow_type(self) -> Any:
        """Its type in Arrow; times are microseconds in UTC."""
        import pyarrow as pa

        if self.type == "audit":
            return _audit_export.arrow_schema().field(self.name).type
        text = pa.string()
        return {
            "text": text,
            "int": pa.int32(),
            "long": pa.int64(),
            "time": pa.timestamp("us", tz="UTC"),
            "date": pa.date32(),
            "entity": pa.struct(
                {
                    "job_info": pa.struct({"job_id": text, "job_run_id": text}),
                    "dashboard_id": text,
                    "legacy_dashboard_id": text,
                    "notebook_id": text,
                    "sql_query_id": text,
                    "dlt_pipeline_info": pa.struct({"dlt_pipeline_id": text, "dlt_update_id": text}),
                }
            ),
        }[self.type]

    def type_text(self) -> str:
        """Its type in SQL."""
        return _sql(self.arrow_type())


class SystemTable(NamedTuple):
    """A table by its name without the catalog, `access.audit` or `information_schema.tables`."""

    name: str
    columns: tuple[Column, ...]
    in_every_catalog: bool

    def column(self, name: str) -> Column | None:
        """The column of that name."""
        return next((column for column in self.columns if column.name == name), None)


def _tables() -> dict[str, SystemTable]:
    found = {}
    for schema, tables, everywhere in (
        (ACCESS, OF_ACCESS, False),
        (INFORMATION_SCHEMA, IN_EVERY_CATALOG, True),
        (INFORMATION_SCHEMA, OF_THE_METASTORE, False),
    ):
        for table, text in tables.items():
            words = (word.partition(":") for word in text.split())
            columns = tuple(Column(name, type_name or "text") for name, _, type_name in words)
            found[f"{schema}.{table}"] = SystemTable(f"{schema}.{table}", columns, everywhere)
    return dict(sorted(found.items()))


SYSTEM_TABLES: Final[Mapping[str, SystemTable]] = _tables()


def alike(full_name: str) -> list[str]:
    """Names of tables that one there is none of may have been meant for, the likeliest first."""
    catalog = full_name.partition(".")[0]
    known = [f"{SYSTEM}.{name}" for name in SYSTEM_TABLES]
    if full_name.count(".") == 2 and catalog.lower() != SYSTEM:
        known = [f"{catalog}.{table.name}" for table in SYSTEM_TABLES.values() if table.in_every_catalog]
    return get_close_matches(full_name.lower(), known, n=3, cutoff=0.6)


def arrow_schema(columns: Sequence[Column]) -> Any:
    """The Arrow schema of these columns."""
    import pyarrow as pa

    return pa.schema([pa.field(column.name, column.arrow_type()) for column in columns])


def _sql(arrow: Any) -> str:
    """An Arrow type in SQL."""
    import pyarrow as pa

    if pa.types.is_struct(arrow):
        return f"STRUCT<{', '.join(f'{field.name}: {_sql(field.type)}' for field in arrow)}>"
    if pa.types.is_map(arrow):
        return f"MAP<{_sql(arrow.key_type)}, {_sql(arrow.item_type)}>"
    if pa.types.is_timestamp(arrow):
        return "TIMESTAMP"
    return {"string": "STRING", "int32": "INT", "int64": "BIGINT", "date32[day]": "DATE"}[str(arrow)]

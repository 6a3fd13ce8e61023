"""The columns of the system tables as Unity Catalog documents them, written down from the reference and from nothing of ours."""

from __future__ import annotations

SIZES = (
    "character_maximum_length, character_octet_length, numeric_precision, numeric_precision_radix, numeric_scale,"
    " datetime_precision, interval_type, interval_precision, maximum_cardinality"
)
CHANGED = "created, created_by, last_altered, last_altered_by"

DOCUMENTED = {
    "system.access.table_lineage": "account_id, metastore_id, workspace_id, entity_type, entity_id, entity_run_id,"
    " source_table_full_name, source_table_catalog, source_table_schema, source_table_name, source_path, source_type,"
    " target_table_full_name, target_table_catalog, target_table_schema, target_table_name, target_path, target_type,"
    " created_by, event_time, event_date, record_id, event_id, statement_id, entity_metadata",
    "system.access.column_lineage": "account_id, metastore_id, workspace_id, entity_type, entity_id, entity_run_id,"
    " source_table_full_name, source_table_catalog, source_table_schema, source_table_name, source_path, source_type,"
    " source_column_name, target_table_full_name, target_table_catalog, target_table_schema, target_table_name, target_path,"
    " target_type, target_column_name, created_by, event_time, event_date, record_id, event_id, statement_id,"
    " entity_metadata",
    "system.access.audit": "account_id, workspace_id, version, event_time, event_date, source_ip_address, user_agent,"
    " session_id, user_identity, service_name, action_name, request_id, request_params, response, audit_level, event_id,"
    " identity_metadata",
    "system.information_schema.information_schema_catalog_name": "catalog_name",
    "system.information_schema.metastores": "metastore_id, metastore_name, metastore_owner, storage_root,"
    " storage_root_credential_id, storage_root_credential_name, delta_sharing_scope, delta_sharing_recipient_token_lifetime,"
    " delta_sharing_organization_name, privilege_model_version, cloud, region, global_metastore_id, created, created_by,"
    " last_altered, last_altered_by",
    "system.information_schema.catalogs": "catalog_name, catalog_owner, comment, created, created_by, last_altered,"
    " last_altered_by, url",
    "system.information_schema.schemata": "catalog_name, schema_name, schema_owner, comment, created, created_by,"
    " last_altered, last_altered_by, url",
    "system.information_schema.tables": "table_catalog, table_schema, table_name, table_type, is_insertable_into,"
    " commit_action, table_owner, comment, created, created_by, last_altered, last_altered_by, data_source_format,"
    " storage_sub_directory, storage_path",
    "system.information_schema.columns": "table_catalog, table_schema, table_name, column_name, ordinal_position,"
    " column_default, is_nullable, full_data_type, data_type, character_maximum_length, character_octet_length,"
    " numeric_precision, numeric_precision_radix, numeric_scale, datetime_precision, interval_type, interval_precision,"
    " maximum_cardinality, is_identity, identity_generation, identity_start, identity_increment, identity_maximum,"
    " identity_minimum, identity_cycle, is_generated, generation_expression, is_system_time_period_start,"
    " is_system_time_period_end, system_time_period_timestamp_generation, is_updatable, partition_index, comment",
    "system.information_schema.views": "table_catalog, table_schema, table_name, view_definition, check_option,"
    " is_updatable, is_insertable_into, sql_path, is_materialized",
    "system.information_schema.volumes": "volume_catalog, volume_schema, volume_name, volume_type, volume_owner, comment,"
    " storage_location, created, created_by, last_altered, last_altered_by",
    "system.information_schema.routines": "specific_catalog, specific_schema, specific_name, routine_catalog,"
    f" routine_schema, routine_name, routine_owner, routine_type, data_type, full_data_type, {SIZES}, routine_body,"
    " routine_definition, external_name, external_language, parameter_style, is_deterministic, sql_data_access,"
    f" is_null_call, security_type, sql_path, comment, {CHANGED}",
    "system.information_schema.catalog_privileges": "grantor, grantee, catalog_name, privilege_type, is_grantable, inherited_from",
    "system.information_schema.schema_privileges": "grantor, grantee, catalog_name, schema_name, privilege_type, is_grantable, inherited_from",
    "system.information_schema.table_privileges": "grantor, grantee, table_catalog, table_schema, table_name, privilege_type, is_grantable, inherited_from",
    "system.information_schema.volume_privileges": "grantor, grantee, volume_catalog, volume_schema, volume_name, privilege_type, is_grantable, inherited_from",
    "system.information_schema.routine_privileges": "grantor, grantee, specific_catalog, specific_schema, specific_name, routine_catalog, routine_schema, routine_name, privilege_type, is_grantable, inherited_from",
    "system.information_schema.metastore_privileges": "grantor, grantee, metastore_id, privilege_type, is_grantable, inherited_from",
    "system.information_schema.external_location_privileges": "grantor, grantee, external_location_name, privilege_type, is_grantable, inherited_from",
    "system.information_schema.storage_credential_privileges": "grantor, grantee, storage_credential_name, privilege_type, is_grantable, inherited_from",
    "system.information_schema.connection_privileges": "grantor, grantee, connection_name, privilege_type, is_grantable, inherited_from",
    "system.information_schema.catalog_tags": "catalog_name, tag_name, tag_value",
    "system.information_schema.schema_tags": "catalog_name, schema_name, tag_name, tag_value",
    "system.information_schema.table_tags": "catalog_name, schema_name, table_name, tag_name, tag_value",
    "system.information_schema.column_tags": "catalog_name, schema_name, table_name, column_name, tag_name, tag_value",
    "system.information_schema.volume_tags": "catalog_name, schema_name, volume_name, tag_name, tag_value",
    "system.information_schema.row_filters": "table_catalog, table_schema, table_name, filter_name, target_columns",
    "system.information_schema.column_masks": "table_catalog, table_schema, table_name, column_name, mask_name, using_columns",
}
"""Name of each table, and its columns in order."""

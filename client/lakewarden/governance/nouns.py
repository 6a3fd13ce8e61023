"""What governance files can describe, as one table: a row for each noun, with how the client lists, creates and changes it.

A new kind of securable is one more row. Where its client methods have the usual shapes (`create(full_name, **fields)`,
`update(full_name, **fields, etag)`, `set_owner`, `delete(full_name, etag)`) its fields are all there is to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lakewarden.governance import places
from lakewarden.governance.fields import ACTIVE, COMMON, ISOLATION, MEMBERS, Field, Noun
from lakewarden.governance.relations import FUNCTION, POLICIES, VIEW, function_values
from lakewarden.governance.shapes import COLUMNS, REFERENCE, WORD

STORAGE_ROOT: Final = Field("storage_root", immutable=True)


def _set_default_catalog(resource: Any, name: str, values: Mapping[str, Any], etag: str) -> Any:
    return resource.set_default_catalog(name, values.get("default_catalog", ""), etag=etag)


def _attach(resource: Any, name: str, values: Mapping[str, Any], etag: str) -> Any:
    metastore = values.get("metastore", "")
    return resource.attach(name, metastore, etag=etag) if metastore else resource.detach(name, etag=etag)


NOUNS: Final[Mapping[str, Noun]] = {
    noun.name: noun
    for noun in (
        Noun("user", "users", "name", (Field("display_name"), ACTIVE), of_account=True, is_principal=True),
        Noun(
            "service_principal",
            "service_principals",
            "display_name",
            (ACTIVE,),
            of_account=True,
            is_principal=True,
        ),
        Noun("group", "groups", "name", (MEMBERS,), of_account=True, is_principal=True),
        Noun(
            "metastore",
            "metastores",
            "full_name",
            (*COMMON, Field("region", immutable=True, default=None)),
            of_account=True,
        ),
        Noun(
            "workspace",
            "workspaces",
            "full_name",
            (
                *COMMON,
                Field("metastore", REFERENCE, refers_to="metastore", set=_attach),
                Field("default_catalog", REFERENCE, set=_set_default_catalog),
            ),
            of_account=True,
            # A workspace's own catalog is in the files like any other.
            always=(("omit_catalog", True),),
        ),
        Noun(
            "storage_credential",
            "storage_credentials",
            "full_name",
            places.STORAGE_CREDENTIAL,
            prepare=places.credential_values,
        ),
        Noun(
            "service_credential",
            "service_credentials",
            "full_name",
            places.SERVICE_CREDENTIAL,
            prepare=places.credential_values,
        ),
        Noun("external_location", "external_locations", "full_name", places.EXTERNAL_LOCATION),
        Noun("connection", "connections", "full_name", places.CONNECTION),
        Noun("recipient", "recipients", "full_name", places.RECIPIENT),
        Noun("provider", "providers", "full_name", places.PROVIDER),
        Noun("external_metadata", "external_metadata", "full_name", places.EXTERNAL_METADATA),
        Noun("share", "shares", "full_name", places.SHARE),
        Noun(
            "catalog",
            "catalogs",
            "full_name",
            (*COMMON, ISOLATION, STORAGE_ROOT, Field("connection", immutable=True, refers_to="connection")),
            comes_with=lambda name, values: [("schema", f"{name}.default")],
        ),
        Noun("schema", "schemas", "full_name", (*COMMON, STORAGE_ROOT), inside="catalog"),
        Noun(
            "table",
            "tables",
            "full_name",
            (
                *COMMON,
                Field("data_source_format", WORD, "DELTA", immutable=True),
                Field("storage_location", immutable=True),
                Field("columns", COLUMNS, ()),
                *POLICIES,
            ),
            inside="schema",
        ),
        Noun(
            "volume",
            "volumes",
            "full_name",
            (*COMMON, Field("storage_location", immutable=True)),
            inside="schema",
        ),
        # Versions and aliases are content that training writes, like the rows of a table.
        Noun("registered_model", "models", "full_name", COMMON, inside="schema"),
        Noun(
            "function",
            "functions",
            "full_name",
            FUNCTION,
            inside="schema",
            is_defined=True,
            prepare=function_values,
        ),
        Noun("view", "views", "full_name", VIEW, inside="schema", is_defined=True),
        Noun("materialized_view", "materialized_views", "full_name", VIEW, inside="schema", is_defined=True),
        Noun("streaming_table", "streaming_tables", "full_name", VIEW, inside="schema", is_defined=True),
    )
}
"""In the order in which a file lists them, and in which they can be created."""

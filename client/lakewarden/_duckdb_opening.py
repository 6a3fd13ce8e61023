"""Makes of an open DuckDB database one that is governed; `connect` and `govern` call it."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
from lakewarden._duckdb_access import PlanAuthorizer
from lakewarden._duckdb_confirm import World
from lakewarden._duckdb_lineage import SqlLineage, SqlRecorder
from lakewarden._duckdb_lock import lock
from lakewarden._duckdb_parse import ascii_fold, server_fold
from lakewarden._duckdb_volumes import VolumeMap, Volumes


def lineage_of(client: PlanAuthorizer, lineage: SqlRecorder | bool, job_name: str) -> SqlLineage | None:
    """Who is told what statements made of what; None where nobody is."""
    recorder = getattr(client, "lineage_events", None) if lineage is True else lineage
    return SqlLineage(recorder, job_name=job_name) if recorder else None


def locked_world(
    connection: duckdb.DuckDBPyConnection,
    client: PlanAuthorizer,
    catalog_map: Mapping[str, str] | None,
    lineage: SqlLineage | None,
    volume_map: VolumeMap | None,
) -> World:
    """Lock the database behind a connection for good. Raises ValueError where it cannot be governed."""
    database, schema, search_path = connection.execute(
        "SELECT current_database(), current_schema(), current_setting('search_path')"
    ).fetchall()[0]
    if "," in search_path:
        raise ValueError("a search path of several schemas cannot be governed; USE one schema first")
    if any(server_fold(name) != ascii_fold(name) for name in (database, schema)):
        raise ValueError(
            f"{database}.{schema} is another name to the server than to DuckDB; USE one in plain letters"
        )
    catalogs = _catalogs(connection, catalog_map or {})
    volumes = Volumes(volume_map or {})
    volumes.check_apart(connection)
    functions = lock(connection, volumes.directories)
    return World(
        client=client,
        database=database,
        schema=schema,
        catalogs=catalogs,
        functions=functions,
        lineage=lineage,
        volumes=volumes,
    )


def _catalogs(connection: duckdb.DuckDBPyConnection, catalog_map: Mapping[str, str]) -> dict[str, str]:
    """Folded database name -> catalog. Two databases of one catalog would share its grants, so that is refused."""
    catalogs = {ascii_fold(name): catalog for name, catalog in catalog_map.items()}
    attached = connection.execute(
        "SELECT database_name FROM duckdb_databases() WHERE NOT internal"
    ).fetchall()
    # A database that is not mapped stands for the catalog of its own name, which another may be mapped to.
    meant = {ascii_fold(name): name for (name,) in attached} | catalogs
    if len(catalogs) < len(catalog_map) or len(set(map(server_fold, meant.values()))) < len(meant):
        raise ValueError("catalog_map must give every database a catalog of its own")
    return catalogs

"""Locks a DuckDB database down before anybody's statement reaches it, and checks that the locks hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
from lakewarden._duckdb_parse import ascii_fold
from lakewarden._duckdb_rewrite import literal
from lakewarden._duckdb_tokens import builtin_functions

LOCKED_SETTINGS: Mapping[str, str] = {
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "python_scan_all_frames": "false",
    # The guard reads the unoptimized plan of each statement, which EXPLAIN shows only in this mode.
    "explain_output": "all",
    "enable_external_access": "false",
    "lock_configuration": "true",
}
"""Settings and the values they are locked at; the last one locks all, and stays last."""

_STARTUP_SETTINGS: Mapping[str, str] = {
    "allow_unsigned_extensions": "false",
    "allow_unredacted_secrets": "false",
}
_EMPTY_SETTINGS = ("allowed_configs", "allowed_paths", "allowed_directories")
"""Lists of exceptions to the locks; each must be empty."""


def lock(connection: duckdb.DuckDBPyConnection, directories: Sequence[str] = ()) -> frozenset[str]:
    """Set LOCKED_SETTINGS for the whole database instance, for good; files may be in `directories` only.

    Returns the folded names of all functions and macros it knows, user-defined ones included. Raises
    ValueError, before anything is locked, when the database holds what the guard cannot see through.
    """
    functions = connection.execute(
        "SELECT DISTINCT function_name, internal FROM duckdb_functions()"
    ).fetchall()
    _refuse_shadowing({ascii_fold(name) for name, internal in functions if not internal})
    _refuse_types(connection)
    _refuse_exceptions(connection)
    _allow(connection, directories)
    # Only what is still loose is set, so that a database that is locked already can be governed once more.
    for name in _loose_settings(connection):
        connection.execute(f"SET GLOBAL {name} = '{LOCKED_SETTINGS[name]}'")
    loose = _loose_settings(connection)
    if loose:
        raise ValueError(f"DuckDB did not accept the locked value of: {', '.join(loose)}")
    return frozenset(ascii_fold(name) for name, _ in functions)


def _allow(connection: duckdb.DuckDBPyConnection, directories: Sequence[str]) -> None:
    external, allowed = connection.execute(
        "SELECT current_setting('enable_external_access'), current_setting('allowed_directories')"
    ).fetchall()[0]
    if not external and not {f"{directory}/" for directory in directories} <= set(allowed):
        raise ValueError("the database is locked already, without the directories of these volumes")
    if external and directories:
        listed = ", ".join(map(literal, directories))
        connection.execute(f"SET GLOBAL allowed_directories = [{listed}]")


def _loose_settings(connection: duckdb.DuckDBPyConnection) -> list[str]:
    actual = dict(connection.execute("SELECT name, value FROM duckdb_settings()").fetchall())
    return [name for name, value in LOCKED_SETTINGS.items() if str(actual.get(name)).lower() != value]


def _refuse_shadowing(own: set[str]) -> None:
    # Operators, CURRENT_DATE and the like call built-in functions without naming them before a parenthesis, so
    # a macro of such a name would run unseen.
    shadowing = sorted(own & builtin_functions() | {name for name in own if not name.isidentifier()})
    if shadowing:
        raise ValueError(
            f"drop the macros that take the names of built-in functions first: {', '.join(shadowing)}"
        )


def _refuse_types(connection: duckdb.DuckDBPyConnection) -> None:
    # An ENUM made from a table holds its values, and a cast or a type name in a string reads them without any table.
    own = connection.execute(
        "SELECT DISTINCT database_name || '.' || schema_name || '.' || type_name FROM duckdb_types() WHERE NOT internal"
    ).fetchall()
    if own:
        raise ValueError(f"drop the user-defined types first: {', '.join(sorted(name for (name,) in own))}")


def _refuse_exceptions(connection: duckdb.DuckDBPyConnection) -> None:
    actual = dict(connection.execute("SELECT name, value FROM duckdb_settings()").fetchall())
    loose = [name for name, value in _STARTUP_SETTINGS.items() if actual[name].lower() != value]
    # Once external access is off, DuckDB itself lists the directories of attached databases as allowed.
    lists = _EMPTY_SETTINGS if actual["enable_external_access"] == "true" else ("allowed_configs",)
    loose += [name for name in lists if actual[name] != "[]"]
    if loose:
        raise ValueError(
            f"a governed connection cannot be opened with these settings changed: {', '.join(loose)}"
        )

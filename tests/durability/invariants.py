"""What must hold of a database after any crash: each write is there with all its traces, or not at all."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import text

from durability.writers import Ledger
from lakewarden_server.core.clock import monotonic
from lakewarden_server.storage import UnitOfWork, audit, create_database

READ_SECONDS = 30.0

Traces = dict[str, dict[str, int]]
"""Trace of a write (data, schema, change log …) to the revision it says, by catalog name."""


def problems(url: str, ledger: Ledger) -> list[str]:
    """Everything that is wrong with the database at `url` after the writes in `ledger`; empty when all is well."""
    database = create_database(url)
    try:
        with database.read(deadline=monotonic() + READ_SECONDS) as uow:
            found = [*ledger.errors, *_broken_writes(uow, ledger), *_broken_history(uow, ledger)]
            if database.dialect == "sqlite":
                verdict = uow.connection.execute(text("PRAGMA integrity_check")).scalar_one()
                found += [] if verdict == "ok" else [f"integrity_check: {verdict}"]
            return found
    finally:
        database.close()


def stored(url: str) -> set[str]:
    """The names of the catalogs in the database."""
    database = create_database(url)
    try:
        with database.read(deadline=monotonic() + READ_SECONDS) as uow:
            return set(_traces(uow)["data"])
    finally:
        database.close()


def _broken_writes(uow: UnitOfWork, ledger: Ledger) -> list[str]:
    traces = _traces(uow)
    found = []
    for name in sorted(ledger.attempted):
        revisions = {trace: of.get(name) for trace, of in traces.items()}
        if len(set(revisions.values())) > 1:
            found.append(f"{name} is not whole: {revisions}")
        acknowledged = ledger.acknowledged.get(name)
        if acknowledged is not None and revisions["data"] != acknowledged:
            found.append(f"{name} was acknowledged at {acknowledged}, stored is {revisions['data']}")
    return found


def _traces(uow: UnitOfWork) -> Traces:
    """Every place a created catalog must show in, each read from its own table."""
    catalogs = _rows(uow, "SELECT id, name, revision FROM securables WHERE kind = 'CATALOG'")
    schemas = _rows(
        uow, "SELECT parent_id, revision FROM securables WHERE kind = 'SCHEMA' AND name = 'default'"
    )
    audited = _rows(
        uow, "SELECT object_name, revision, request_id FROM audit_log WHERE operation = 'catalog.create'"
    )
    remembered = _rows(uow, "SELECT request_id, revision FROM idempotency")
    revisions = {row["request_id"]: row["revision"] for row in remembered}
    names = {row["id"]: row["name"] for row in catalogs}
    return {
        "data": {row["name"]: row["revision"] for row in catalogs},
        "schema": {names[row["parent_id"]]: row["revision"] for row in schemas},
        "audit": {row["object_name"]: row["revision"] for row in audited},
        "request": {row["object_name"]: revisions.get(row["request_id"], -1) for row in audited},
        **_logged_traces(uow),
    }


def _logged_traces(uow: UnitOfWork) -> Traces:
    created = _rows(uow, "SELECT kind, object_id, revision, after FROM change_log WHERE operation = 'CREATE'")
    catalogs: dict[str, int] = {}
    schemas: dict[str, int] = {}
    names: dict[str, str] = {}
    # Catalogs first (by the alphabet), so that a schema finds the name of its catalog.
    for row in sorted(created, key=lambda row: row["kind"]):
        after = row["after"] if isinstance(row["after"], dict) else json.loads(row["after"])
        if row["kind"] == "CATALOG":
            names[row["object_id"]] = after["name"]
            catalogs[after["name"]] = row["revision"]
        elif row["kind"] == "SCHEMA":
            schemas[names.get(after["parent_id"], "")] = row["revision"]
    return {"change log": catalogs, "schema in change log": schemas}


def _broken_history(uow: UnitOfWork, ledger: Ledger) -> list[str]:
    found = [f"audit chain: {finding}" for finding in audit.verify(uow.connection)]
    expected = list(range(1, uow.revision + 1))
    logged = _rows(
        uow, "SELECT revision, min(nonce) AS nonce FROM change_log GROUP BY revision ORDER BY revision"
    )
    if [row["revision"] for row in logged] != expected:
        found.append(f"the change log has gaps or goes beyond revision {uow.revision}")
    if logged and logged[-1]["nonce"] != uow.head.nonce:
        found.append("the head's nonce is not the one of the last change")
    audited = _rows(uow, "SELECT revision FROM audit_log ORDER BY revision")
    if [row["revision"] for row in audited] != expected:
        found.append("the audit does not have one record for each revision")
    remembered = _rows(uow, "SELECT max(revision) AS revision FROM idempotency")
    if (remembered[0]["revision"] or 0) > uow.revision:
        found.append("a request is remembered at a revision that does not exist")
    if uow.revision < ledger.revision:
        found.append(f"the head is at {uow.revision}, {ledger.revision} was acknowledged")
    return found


def _rows(uow: UnitOfWork, statement: str) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in uow.connection.execute(text(statement))]

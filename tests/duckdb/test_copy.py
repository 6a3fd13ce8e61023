"""COPY between governed tables and files of volumes, and attempts to reach other files, tables and values with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import duckdb
from lakewarden._duckdb_volumes import Place, check_file
from lakewarden.duckdb import (
    Access,
    AccessDenied,
    GovernanceError,
    GovernedConnection,
    StatementRefused,
    connect,
    govern,
)
from lakewarden_server.testing import EmbeddedServer, serve

ANN = "ann@example.com"
LAKE = """
ATTACH ':memory:' AS lake;
USE lake;
CREATE TABLE people(id INTEGER, ssn VARCHAR, region VARCHAR);
CREATE TABLE orders(id INTEGER, amount INTEGER DEFAULT 7, note VARCHAR DEFAULT 'none');
CREATE TABLE salaries(id INTEGER, amount INTEGER);
INSERT INTO people VALUES (1, 'secret-11', 'eu'), (2, 'secret-22', 'us');
INSERT INTO orders VALUES (1, 10, 'a'), (2, 20, 'b');
INSERT INTO salaries VALUES (1, 1000);
"""
TABLES = {"people": ("id", "ssn", "region"), "orders": ("id", "amount", "note"), "salaries": ("id", "amount")}


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """Ann uses `people`, masked and filtered, and `orders`; she writes to the volume `out`, reads `in`, and not `shut`."""
    with serve() as server:
        admin = server.client()
        admin.catalogs.create("lake")
        admin.schemas.create("lake.main")
        for table, columns in TABLES.items():
            admin.tables.create(
                f"lake.main.{table}", columns=[{"name": name, "type_text": "VARCHAR"} for name in columns]
            )
        for volume in ("out", "in", "shut"):
            admin.volumes.create(f"lake.main.{volume}")
        server.client_as("ann")
        admin.grants.grant("USE CATALOG", "catalog", "lake", ANN)
        admin.grants.grant(["USE SCHEMA"], "schema", "lake.main", ANN)
        for table in ("people", "orders"):
            admin.grants.grant(["SELECT", "MODIFY"], "table", f"lake.main.{table}", ANN)
        admin.grants.grant("WRITE VOLUME", "volume", "lake.main.out", ANN)
        admin.grants.grant("READ VOLUME", "volume", "lake.main.in", ANN)
        admin.functions.create("lake.main.hidden", ["x VARCHAR"], "VARCHAR", "'*' || right(x, 2)")
        admin.functions.create("lake.main.european", ["r VARCHAR"], "BOOLEAN", "r = 'eu'")
        admin.tables.set_column_mask("lake.main.people", "ssn", "lake.main.hidden")
        admin.tables.set_row_filter("lake.main.people", "lake.main.european", ["region"])
        yield server


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """A directory for each volume, and one that is no volume's."""
    made = {name: tmp_path / name for name in ("out", "in", "shut", "other")}
    for directory in made.values():
        directory.mkdir()
        (directory / "given.csv").write_text("id,amount,note\n7,70,g\n8,80,h\n")
    return made


def volume_map(places: dict[str, Path]) -> dict[Path, str]:
    return {places[name]: f"lake.main.{name}" for name in ("out", "in", "shut")}


@pytest.fixture
def ann(
    raw: duckdb.DuckDBPyConnection, server: EmbeddedServer, places: dict[str, Path]
) -> GovernedConnection:
    return govern(raw, server.client_as("ann"), volume_map=volume_map(places), lineage=False)


def listed(places: dict[str, Path]) -> dict[str, bytes]:
    root = places["out"].parent
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


WRITES = {
    "COPY orders TO '{out}/o.csv'": "id,amount,note\n1,10,a\n2,20,b\n",
    "COPY lake.main.orders (note, id) TO '{out}/o.csv' (HEADER false, DELIMITER '|')": "a|1\nb|2\n",
    "COPY (SELECT sum(amount) AS total FROM orders -- all\n) TO '{out}/o.csv' WITH (FORMAT csv, HEADER)": "total\n30\n",
    "COPY (WITH o AS (FROM orders) SELECT o.id FROM o WHERE id = 2) TO '{out}/o.x' (FORMAT csv)": "id\n2\n",
    "copy people to '{out}/o.csv' (format CSV);": "id,ssn,region\n1,*11,eu\n",
    "COPY (SELECT ssn FROM people ORDER BY ssn) TO '{out}/o.json'": '{{"ssn":"*11"}}\n',
    "COPY (SELECT count(*) AS n FROM people WHERE ssn LIKE 'secret%') TO '{out}/o.csv'": "n\n0\n",
    "COPY people (ssn) TO '{out}/given.csv' (QUOTE '''', NULL 'x')": "ssn\n*11\n",
}


@pytest.mark.parametrize("sql", WRITES)
def test_a_file_holds_what_the_subject_is_shown(
    ann: GovernedConnection, places: dict[str, Path], sql: str
) -> None:
    before = listed(places)
    ann.execute(sql.format(**places))
    assert ann.fetchall() != []
    made = {path: text for path, text in listed(places).items() if before.get(path) != text}
    assert [text.decode() for text in made.values()] == [WRITES[sql].replace("{{", "{").replace("}}", "}")]
    assert all(Path(path).parent == places["out"] for path in made)


def test_a_parquet_file_holds_no_value_that_is_masked(
    ann: GovernedConnection, places: dict[str, Path]
) -> None:
    ann.execute(f"COPY people TO '{places['out']}/p.parquet' (COMPRESSION uncompressed)")
    with duckdb.connect() as reader:
        assert reader.execute(f"FROM '{places['out']}/p.parquet'").fetchall() == [(1, "*11", "eu")]
    assert b"secret" not in (places["out"] / "p.parquet").read_bytes()


def test_a_temporary_view_and_parameters_are_copied(ann: GovernedConnection, places: dict[str, Path]) -> None:
    ann.execute("CREATE TEMP VIEW mine (who) AS SELECT ssn FROM people")
    ann.execute(f"COPY mine TO '{places['out']}/v.csv'")
    assert (places["out"] / "v.csv").read_text() == "who\n*11\n"
    with pytest.raises(StatementRefused, match="mine is a temporary view"):
        ann.execute(f"COPY mine FROM '{places['in']}/given.csv'")
    ann.execute(f"COPY (SELECT id FROM orders WHERE amount > ?) TO '{places['out']}/v.csv'", [15])
    assert (places["out"] / "v.csv").read_text() == "id\n2\n"


def test_functions_of_lakewarden_are_put_into_what_is_copied(
    ann: GovernedConnection, server: EmbeddedServer, places: dict[str, Path]
) -> None:
    sql = f"COPY (SELECT lake.main.hidden(note || '99') AS h FROM orders WHERE id = 1) TO '{places['out']}/h.csv'"
    with pytest.raises(AccessDenied, match="EXECUTE"):
        ann.execute(sql)
    server.client().grants.grant("EXECUTE", "function", "lake.main.hidden", ANN)
    ann.execute(sql)
    assert (places["out"] / "h.csv").read_text() == "h\n*99\n"


def test_a_copy_that_fails_leaves_the_file_that_was_there(
    ann: GovernedConnection, places: dict[str, Path]
) -> None:
    before = listed(places)
    failing = f"COPY (SELECT CAST(note AS INTEGER) AS n FROM orders) TO '{places['out']}/given.csv'"
    with pytest.raises(duckdb.ConversionException) as raised:
        ann.execute(failing)
    assert "LINE" not in str(raised.value)
    with pytest.raises(duckdb.ConversionException):
        ann.execute(f"COPY orders (amount) FROM '{places['in']}/given.csv' (HEADER false, DELIMITER '|')")
    assert listed(places) == before


def test_a_file_is_read_into_a_table(ann: GovernedConnection, places: dict[str, Path]) -> None:
    file = places["in"] / "more.json"
    file.write_text(json.dumps({"id": 9}))
    ann.execute(f"COPY main.orders FROM '{places['in']}/given.csv' (HEADER true)")
    assert ann.fetchall() == [(2,)]
    ann.execute(f"COPY orders (id) FROM '{file}'")
    assert ann.execute("FROM orders WHERE id > 2 ORDER BY id").fetchall() == [
        (7, 70, "g"), (8, 80, "h"), (9, 7, "none"),
    ]  # fmt: skip


def test_a_masked_table_is_only_added_to(
    ann: GovernedConnection, raw: duckdb.DuckDBPyConnection, places: dict[str, Path]
) -> None:
    (places["in"] / "p.csv").write_text("5,secret-55,eu\n")
    ann.execute(f"COPY people FROM '{places['in']}/p.csv' (HEADER false)")
    assert ann.execute("SELECT ssn FROM people WHERE id = 5").fetchall() == [("*55",)]
    assert raw.execute("SELECT ssn FROM lake.people WHERE id = 5").fetchall() == [("secret-55",)]


def test_what_is_asked_for(ann: GovernedConnection, places: dict[str, Path]) -> None:
    out, given = f"{places['out']}/o.csv", f"{places['in']}/given.csv"
    read = Access("lake.main.orders", "SELECT", "TABLE")
    assert ann.explain_access(f"COPY orders TO '{out}'") == (
        read,
        Access("lake.main.out", "WRITE_VOLUME", "VOLUME"),
    )
    assert ann.explain_access(f"COPY orders FROM '{given}'") == (
        Access("lake.main.in", "READ_VOLUME", "VOLUME"),
        Access("lake.main.orders", "MODIFY", "TABLE"),
    )


DENIED = (
    "COPY salaries TO '{out}/o.csv'",
    "COPY (SELECT amount FROM orders UNION ALL SELECT amount FROM salaries) TO '{out}/o.csv'",
    "COPY orders TO '{shut}/o.csv'",
    "COPY orders TO '{in}/o.csv'",
    "COPY orders FROM '{out}/given.csv'",
    "COPY orders FROM '{shut}/given.csv'",
    "COPY orders FROM '{shut}/nothing.csv'",
    "COPY salaries FROM '{in}/given.csv'",
    "COPY nothing FROM '{in}/given.csv'",
    "COPY (SELECT 1) TO '{shut}/o.csv'",
)


@pytest.mark.parametrize("sql", DENIED)
def test_beyond_the_grants_nothing_is_copied(
    ann: GovernedConnection, raw: duckdb.DuckDBPyConnection, places: dict[str, Path], sql: str
) -> None:
    before = listed(places), raw.execute("FROM lake.orders").fetchall()
    with pytest.raises(AccessDenied):
        ann.execute(sql.format(**places))
    assert (listed(places), raw.execute("FROM lake.orders").fetchall()) == before


REFUSED_PATHS = (
    "/dev/stdout", "/dev/null", "/etc/passwd", "o.csv", "./o.csv", "~/o.csv", "", "/",
    "{other}/o.csv", "{out}", "{out}/", "{out}x/o.csv", "{out}/../other/o.csv", "{out}/../in/o.csv", "{out}/./o.csv", "{out}//o.csv",
    "{out}/sub/../o.csv", "{out}/*.csv", "{out}/o?.csv", "{out}/[a-z].csv", "{out}/**/o.csv", "{out}/{{a}}.csv", "{out}/o.csv ",
    " {out}/o.csv", "{out} /o.csv", "{out}/.o.csv", "{out}/o.csv.", "{out}/%2e%2e/o.csv", "{out}/a\\..\\b.csv", "{out}/$HOME.csv",
    "file://{out}/o.csv", "s3://lake/o.csv", "https://example.com/o.csv", "gcs://lake/o.csv", "{OUT}/o.csv", "{out}/\uff0e\uff0e/o.csv",
)  # fmt: skip


@pytest.mark.parametrize("path", REFUSED_PATHS)
def test_a_path_that_no_volume_covers_for_sure_is_refused(
    ann: GovernedConnection, places: dict[str, Path], path: str
) -> None:
    before = listed(places)
    named = path.format(**places, OUT=str(places["out"]).upper())
    for sql in (f"COPY orders TO '{named}' (FORMAT csv)", f"COPY orders FROM '{named}' (FORMAT csv)"):
        with pytest.raises(GovernanceError):
            ann.execute(sql)
    assert listed(places) == before


REFUSED = (
    "COPY orders TO '{out}/o.csv' (FORMAT csv, PARTITION_BY (id))",
    "COPY orders TO '{out}/o' (FORMAT parquet, PARTITION_BY (id), OVERWRITE_OR_IGNORE)",
    "COPY orders TO '{out}/o' (FORMAT csv, PER_THREAD_OUTPUT)",
    "COPY orders TO '{out}/o' (FORMAT csv, FILE_SIZE_BYTES '1KB')",
    "COPY orders TO '{out}/o' (FORMAT csv, FILENAME_PATTERN 'x')",
    "COPY orders TO '{out}/o.csv' (APPEND)",
    "COPY orders TO '{out}/o.csv' (OVERWRITE true)",
    "COPY orders TO '{out}/o.csv' (USE_TMP_FILE false)",
    "COPY orders TO '{out}/o.csv' (PREFIX '(SELECT max(amount) FROM salaries)')",
    "COPY orders TO '{out}/o.csv' (DELIMITER ';', SEP '|')",
    "COPY orders TO '{out}/o.csv' (HEADER 1)",
    "COPY orders TO '{out}/o.csv' CSV HEADER",
    "COPY orders TO '{out}/o.parquet' (ENCRYPTION_CONFIG {{footer_key: 'k'}})",
    "COPY orders TO '{out}/o.parquet' (KV_METADATA {{a: (SELECT max(amount) FROM salaries)}})",
    "COPY orders TO '{out}/o.db' (FORMAT sqlite)",
    "COPY orders TO '{out}/o.tsv'",
    "COPY orders TO '{out}/o'",
    "COPY orders TO ('{out}' || '/o.csv')",
    "COPY orders TO getvariable('hidden')",
    "COPY orders TO o",
    'COPY orders TO "{out}/o.csv"',
    "COPY orders TO $1",
    "COPY orders TO ?",
    "COPY orders TO E'{out}/o.csv'",
    "COPY orders TO $${out}/o.csv$$",
    "COPY orders FROM ['{in}/given.csv', '{shut}/given.csv']",
    "COPY orders FROM '{in}/given.csv' (STORE_REJECTS)",
    "COPY orders FROM '{in}/given.csv' (FILENAME true)",
    "COPY orders FROM stdin",
    "COPY orders TO stdout",
    "COPY FROM DATABASE lake TO memory",
    "COPY (DELETE FROM orders RETURNING *) TO '{out}/o.csv'",
    "COPY (INSERT INTO orders VALUES (3, 3, 'x') RETURNING *) TO '{out}/o.csv'",
    "COPY (FROM read_csv('{shut}/given.csv')) TO '{out}/o.csv'",
    "COPY (FROM '{shut}/given.csv') TO '{out}/o.csv'",
    "COPY (FROM '{in}/given.csv') TO '{out}/o.csv'",
    "COPY (FROM duckdb_settings()) TO '{out}/o.csv'",
    "COPY '{shut}/given.csv' TO '{out}/o.csv'",
    "COPY (SELECT 1); COPY salaries TO '{out}/o.csv'",
    "COPY orders TO '{out}/o.csv'; COPY salaries TO '{out}/p.csv'",
    "COPY (SELECT 1) TO '{out}/o.csv' (FORMAT csv)) TO '{shut}/p.csv' (FORMAT csv",
    "COPY orders (id, (SELECT max(amount) FROM salaries)) TO '{out}/o.csv'",
    "EXPLAIN COPY orders TO '{out}/o.csv'",
    "EXPLAIN ANALYZE COPY orders TO '{out}/o.csv'",
    "PREPARE p AS COPY orders TO '{out}/o.csv'",
    "EXPORT DATABASE '{out}'",
    "ATTACH '{out}/x.db' AS x",
    "FROM read_csv('{in}/given.csv')",
    "FROM '{in}/given.csv'",
    "FROM glob('{in}/*')",
)


@pytest.mark.parametrize("sql", REFUSED)
def test_what_is_not_understood_is_not_copied(
    ann: GovernedConnection, raw: duckdb.DuckDBPyConnection, places: dict[str, Path], sql: str
) -> None:
    before = listed(places), raw.execute("FROM lake.orders").fetchall()
    with pytest.raises(GovernanceError):
        ann.execute(sql.format(**places))
    with pytest.raises(duckdb.InvalidInputException, match="no result"):
        ann.fetchall()
    assert (listed(places), raw.execute("FROM lake.orders").fetchall()) == before


def test_links_and_what_is_no_file_are_refused(ann: GovernedConnection, places: dict[str, Path]) -> None:
    (places["out"] / "link.csv").symlink_to(places["shut"] / "given.csv")
    (places["out"] / "gone.csv").symlink_to(places["shut"] / "new.csv")
    (places["out"] / "sub").symlink_to(places["shut"])
    (places["out"] / "real").mkdir()
    os.mkfifo(places["out"] / "pipe.csv")
    (places["in"] / "sub").symlink_to(places["shut"])
    (places["out"] / "tmp_given.csv").symlink_to(places["shut"] / "given.csv")
    before = listed(places)
    for name in ("given.csv", "link.csv", "gone.csv", "sub/o.csv", "sub/given.csv", "real", "pipe.csv"):
        with pytest.raises(StatementRefused):
            ann.execute(f"COPY orders TO '{places['out']}/{name}' (FORMAT csv)")
    for name in ("sub/given.csv", "nothing.csv"):
        with pytest.raises(StatementRefused):
            ann.execute(f"COPY orders FROM '{places['in']}/{name}' (FORMAT csv)")
    assert listed(places) == before
    ann.execute(f"COPY orders TO '{places['out']}/real/o.csv'")
    assert (places["out"] / "real" / "o.csv").exists()


def test_control_duckdb_itself_follows_a_link_from_one_volume_into_another(
    ann: GovernedConnection, raw: duckdb.DuckDBPyConnection, places: dict[str, Path]
) -> None:
    (places["out"] / "link.csv").symlink_to(places["shut"] / "given.csv")
    raw.execute(f"COPY lake.orders TO '{places['out']}/link.csv' (USE_TMP_FILE false)")
    assert "1,10,a" in (places["shut"] / "given.csv").read_text()
    (places["out"] / "tmp_given.csv").symlink_to(places["shut"] / "given.csv")
    raw.execute(f"COPY (SELECT 42 AS x) TO '{places['out']}/given.csv'")
    assert (places["shut"] / "given.csv").read_text() == "x\n42\n"
    with pytest.raises(StatementRefused, match="symbolic link"):
        check_file(Place(f"{places['out']}/link.csv", "lake.main.out", str(places["out"])), written=True)


def test_a_revoke_holds_at_once(
    ann: GovernedConnection, server: EmbeddedServer, places: dict[str, Path]
) -> None:
    admin, sql = server.client(), f"COPY orders TO '{places['out']}/o.csv'"
    ann.execute(sql)
    admin.grants.revoke("WRITE VOLUME", "volume", "lake.main.out", ANN)
    try:
        with pytest.raises(AccessDenied, match="WRITE VOLUME"):
            ann.execute(sql)
    finally:
        admin.grants.grant("WRITE VOLUME", "volume", "lake.main.out", ANN)


def test_without_volumes_nothing_is_copied(
    raw: duckdb.DuckDBPyConnection, server: EmbeddedServer, places: dict[str, Path]
) -> None:
    ann = govern(raw, server.client_as("ann"), lineage=False)
    for sql in (f"COPY orders TO '{places['out']}/o.csv'", f"COPY orders FROM '{places['in']}/given.csv'"):
        with pytest.raises(StatementRefused, match="volume_map"):
            ann.execute(sql)
    with pytest.raises(ValueError, match="locked already"):
        govern(raw, server.client_as("ann"), volume_map=volume_map(places), lineage=False)


def _maps(root: Path) -> dict[str, dict[Path, str]]:
    (root / "a" / "b").mkdir(parents=True)
    (root / "c d!").mkdir()
    (root / "link").symlink_to(root / "a")
    return {
        "no directory": {root / "none": "lake.main.a"},
        "a file": {Path(__file__): "lake.main.a"},
        "unusual letters": {root / "c d!": "lake.main.a"},
        "no volume": {root / "a": "files"},
        "an unusual volume": {root / "a": "lake.main.a*"},
        "nested": {root / "a": "lake.main.a", root / "a" / "b": "lake.main.b"},
        "one directory twice": {root / "a": "lake.main.a", root / "link": "lake.main.b"},
        "one volume twice": {root / "a" / "b": "lake.main.a", root / "c d!": "lake.main.A"},
        "the root": {Path("/"): "lake.main.a"},
    }


def test_directories_and_volumes_that_are_not_apart_are_refused(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    ann = server.client_as("ann")
    for volumes in _maps(tmp_path).values():
        with pytest.raises(ValueError, match=r"volume|plain name"):
            connect(ann, volume_map=volumes)
    of_a = {tmp_path / "a": "lake.main.a"}
    with pytest.raises(ValueError, match="files of its own"):
        connect(ann, database=tmp_path / "a" / "x.db", volume_map=of_a)
    config: dict[str, Any] = {"temp_directory": str(tmp_path / "a" / "b" / "t")}
    with pytest.raises(ValueError, match="files of its own"):
        connect(ann, config=config, volume_map=of_a)

"""COPY between tables and files of volumes. What DuckDB runs is not the caller's text but one made of the parts that were checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

import duckdb
from lakewarden._duckdb_access import Access, StatementRefused
from lakewarden._duckdb_binder import (
    Parameters,
    Table,
    planned_reads,
    planned_scans,
    sole_statement,
)
from lakewarden._duckdb_confirm import Analysis, Runnable
from lakewarden._duckdb_lineage import Copied
from lakewarden._duckdb_rewrite import literal, quoted
from lakewarden._duckdb_tokens import Token, check_characters, tokens
from lakewarden._duckdb_volumes import Place, Volumes

_READERS: Mapping[str, str] = {"csv": "READ_CSV", "parquet": "PARQUET_SCAN", "json": "READ_JSON"}
"""Format -> what DuckDB's plan of a COPY FROM shows."""
_ENDINGS: Mapping[str, str] = {
    "csv": "csv",
    "parquet": "parquet",
    "json": "json",
    "jsonl": "json",
    "ndjson": "json",
}
_TEXT_OPTIONS: Mapping[str, str] = {
    "DELIMITER": "DELIMITER", "DELIM": "DELIMITER", "SEP": "DELIMITER", "QUOTE": "QUOTE", "ESCAPE": "ESCAPE",
    "NULL": "NULLSTR", "NULLSTR": "NULLSTR",
}  # fmt: skip
_COMPRESSIONS = frozenset({"none", "uncompressed", "gzip", "zstd", "snappy"})


@dataclass(frozen=True)
class Copy:
    """A COPY: `statement` is one that reads what it reads or writes the table that it writes, and is checked in its place."""

    statement: str
    place: Place
    file_format: str
    options: str
    into_file: bool
    columns: tuple[str, ...] = ()
    """Of the table of COPY FROM; empty for all."""

    @property
    def copied(self) -> Copied:
        """What lineage is told of it."""
        return Copied(self.place, self.file_format, self.into_file, self.columns)

    @property
    def access(self) -> Access:
        """What it does with the volume."""
        return Access(self.place.volume, "WRITE_VOLUME" if self.into_file else "READ_VOLUME", "VOLUME")

    def runnable(
        self,
        cursor: duckdb.DuckDBPyConnection,
        analysis: Analysis,
        checked: Runnable,
        parameters: Parameters,
    ) -> Runnable:
        """The COPY of a statement that was confirmed. Raises StatementRefused where DuckDB's plan of it is another one."""
        if self.into_file:
            text = f"COPY (\n{checked.statement.query}\n) TO {literal(self.place.path)} ({self.options})"
            wanted = planned_scans(cursor, checked.statement.query, parameters, mark="")
            alike = planned_scans(cursor, text, parameters, mark="") == wanted
        else:
            text = f"COPY {self._table(analysis.target)} FROM {literal(self.place.path)} ({self.options})"
            alike = planned_reads(cursor, text) == [_READERS[self.file_format]]
        statement = sole_statement(cursor, text, copies=True)
        if not alike or statement.type.name != "COPY":
            raise StatementRefused("DuckDB's plan of the COPY is another one than was asked for")
        return Runnable(statement, is_rewritten=True)

    def _table(self, target: Table | None) -> str:
        assert target is not None, "COPY FROM is checked as an INSERT"
        listed = f" ({', '.join(map(quoted, self.columns))})" if self.columns else ""
        return ".".join(map(quoted, target[:3])) + listed


def read_copy(cursor: duckdb.DuckDBPyConnection, sql: str, volumes: Volumes) -> Copy | None:
    """The COPY that a text is, None for another statement. Raises StatementRefused for one that is not run."""
    if "copy" not in sql.lower():
        return None
    check_characters(sql)
    words = tokens(sql)
    if not words or words[0].text.lower() != "copy":
        return None
    if not volumes.directories:
        raise StatementRefused(
            "COPY is run between tables and files of volumes only, and volume_map names none"
        )
    if sole_statement(cursor, sql, copies=True).type.name != "COPY":
        raise StatementRefused("of COPY only COPY ... TO and COPY ... FROM a file are run")
    tree = _tree(sql)
    middle = _middle(words)
    into_file = words[middle].text.lower() == "to"
    if bool(tree.args.get("kind")) is into_file:
        raise StatementRefused("the parsers disagree about the direction of the COPY")
    place = volumes.place(_path(tree))
    file_format, options = _options(tree, place.path)
    statement, columns = _statement(sql, words[1 : middle + 1], into_file=into_file)
    return Copy(statement, place, file_format, options, into_file, columns)


def _tree(sql: str) -> exp.Copy:
    try:
        tree = sqlglot.parse_one(sql, dialect="duckdb")
    except (SqlglotError, RecursionError):
        tree = None
    known = {"this", "kind", "files", "params", "credentials"}
    if not isinstance(tree, exp.Copy) or any(value and key not in known for key, value in tree.args.items()):
        raise StatementRefused("the COPY cannot be read")
    credentials = tree.args.get("credentials")
    if credentials is not None and any(credentials.args.values()):
        raise StatementRefused("COPY with credentials is not run on a governed connection")
    return tree


def _middle(words: Sequence[Token]) -> int:
    """Where TO or FROM stands, outside of parentheses."""
    depth = 0
    for place, word in enumerate(words):
        depth += (word.text == "(") - (word.text == ")")
        if depth == 0 and word.text.lower() in ("to", "from"):
            return place
    raise StatementRefused("the COPY names no file")


def _path(tree: exp.Copy) -> str:
    files = tree.args.get("files") or []
    if len(files) != 1 or not (isinstance(files[0], exp.Literal) and files[0].is_string):
        raise StatementRefused(
            "COPY names one file, by a plain string: nothing computed, no parameter, no list"
        )
    return str(files[0].this)


def _options(tree: exp.Copy, path: str) -> tuple[str, str]:
    """The format, and all options as DuckDB is given them."""
    options: dict[str, str] = {}
    for param in tree.args.get("params") or []:
        name, text = _option(param)
        if name in options:
            raise StatementRefused(f"COPY has the option {name} twice")
        options[name] = text
    file_format = options.pop("FORMAT", "") or _ENDINGS.get(path.rpartition("/")[2].rpartition(".")[2], "")
    if file_format not in _READERS:
        raise StatementRefused("say the format of the file: (FORMAT csv), parquet or json")
    return file_format, ", ".join(
        [f"FORMAT {file_format}", *(f"{name} {text}" for name, text in options.items())]
    )


def _option(param: exp.Expr) -> tuple[str, str]:
    name, value = param.this.name.upper(), param.args.get("expression")
    text = value.name if isinstance(value, exp.Literal) and value.is_string else None
    word = value.name.lower() if isinstance(value, exp.Var) else (text or "").lower()
    if param.expressions:
        raise StatementRefused(f"COPY with {name} as a list is not run on a governed connection")
    if name == "FORMAT" and word in _READERS:
        return name, word
    if name == "COMPRESSION" and word in _COMPRESSIONS:
        return name, literal(word)
    if name == "HEADER" and (value is None or isinstance(value, exp.Boolean)):
        return name, "false" if value is not None and not value.this else "true"
    if name in _TEXT_OPTIONS and text is not None:
        return _TEXT_OPTIONS[name], literal(text)
    raise StatementRefused(
        f"COPY with {name} as it is written here is not run on a governed connection: of options FORMAT, HEADER, COMPRESSION,"
        " DELIMITER, QUOTE, ESCAPE and NULLSTR are, with plain values"
    )


def _statement(sql: str, words: Sequence[Token], *, into_file: bool) -> tuple[str, tuple[str, ...]]:
    """What is checked in the place of the COPY, and the columns it lists; `words` go up to TO or FROM."""
    *named, end = words
    is_query = bool(named) and named[0].text == "(" and named[-1].text == ")"
    if is_query and into_file:
        return sql[named[0].start + 1 : named[-1].start], ()
    opening = next((place for place, word in enumerate(named) if word.text == "("), len(named))
    listed = named[opening + 1 : -1]
    columns = tuple(word.word for word in listed[::2])
    is_list = (
        all(columns)
        and all(word.text == "," for word in listed[1::2])
        and (bool(columns) == (opening < len(named)))
    )
    if not opening or not is_list:
        raise StatementRefused(
            "COPY takes a query in parentheses, or a table by name and perhaps columns of it"
        )
    name = sql[named[0].start : (named[opening] if opening < len(named) else end).start]
    if into_file:
        # FROM first, so that a comment at the end of the name ends with it.
        return f"FROM {name}\nSELECT {', '.join(map(quoted, columns)) or '*'}", ()
    return f"INSERT INTO {name} DEFAULT VALUES", columns

"""`lakewarden lineage ingest` and `from-sql`: telling the server which data was made of which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TextIO

import click

from lakewarden._errors import InvalidArgument
from lakewarden.cli._commands import Command
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._terminal import printable

EXIT_REFUSED = 1
SHOWN_MAX = 20
"""Refused events that are written out."""
PROGRESS_EVENTS = 1_000
HINTS = {
    "COLUMNS_UNKNOWN": "where columns are not known, as of a table that is not registered, lineage is of whole tables",
    "SYNTAX": "the text does not parse; say its --dialect where it is not that of DuckDB",
    "TABLE_UNKNOWN": "of what was left out you see no such table; say --catalog and --schema where names are not in full",
}
"""What to do about a statement of which something was left out, by its reason."""
SQL_COLUMNS = ("statement", "kind", "reads", "writes", "column_pairs", "left_out", "reason", "recorded")


@click.command("ingest", cls=Command, example="lakewarden lineage ingest events.jsonl")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.File(encoding="utf-8"))
@click.option("--strict", is_flag=True, help="Refuse what the specification of OpenLineage does not allow.")
@click.pass_context
@pass_invocation
def ingest(invocation: Invocation, context: click.Context, files: tuple[TextIO, ...], strict: bool) -> None:
    """Record the OpenLineage events in files: one event, a JSON array, or an event a line; `-` is standard input.

    Sending a file again changes nothing. Exits with 1 when an event was refused, and says which.
    """
    from lakewarden._lineage_events import read_events

    def events() -> Iterator[str]:
        for file in files:
            try:
                yield from read_events(_text(file))
            except InvalidArgument as error:
                raise click.BadParameter(f"{file.name}: {error.message}", param_hint="FILE") from None

    counts: Counter[str] = Counter()
    for number, outcome in enumerate(
        invocation.open_client().lineage_events.ingest(events(), strict=strict), 1
    ):
        state = "refused" if not outcome.accepted else "recorded" if outcome.is_new else "known"
        counts[state] += 1
        counts["facets dropped"] += len(outcome.dropped_facets)
        if state == "refused" and counts[state] <= SHOWN_MAX:
            click.echo(f"event {number}: {printable(outcome.message)}", err=True)
        if number % PROGRESS_EVENTS == 0:
            click.echo(f"{number} events", err=True)
    invocation.show({name: counts[name] for name in ("recorded", "known", "refused", "facets dropped")})
    if counts["refused"]:
        context.exit(EXIT_REFUSED)


@click.command(
    "from-sql", cls=Command, example="lakewarden lineage from-sql job.sql --catalog main --dry-run"
)
@click.argument("file", metavar="FILE", type=click.File(encoding="utf-8"))
@click.option("--dialect", default="", metavar="NAME", help="Dialect of the text.  [default: duckdb]")
@click.option("--catalog", default="", metavar="NAME", help="Catalog of names that have none.")
@click.option("--schema", default="", metavar="NAME", help="Schema of names that have none.")
@click.option("--dry-run", is_flag=True, help="Only show what would be recorded.")
@click.pass_context
@pass_invocation
def from_sql(
    invocation: Invocation,
    context: click.Context,
    file: TextIO,
    *,
    dialect: str,
    catalog: str,
    schema: str,
    dry_run: bool,
) -> None:
    """Record what the SQL in a file, which was run, read and wrote; `-` is standard input.

    Exits with 1 when a statement does not parse; nothing is recorded of that one.
    """
    reply = invocation.open_client().lineage.record_sql(
        _text(file), dialect=dialect, catalog=catalog, schema=schema, dry_run=dry_run
    )
    rows = [
        {
            "statement": number,
            "kind": each.kind,
            "reads": list(each.reads),
            "writes": each.writes,
            "column_pairs": each.column_pairs,
            "left_out": list(each.left_out),
            "reason": each.reason,
            "recorded": each.recorded,
        }
        for number, each in enumerate(reply.statements, 1)
    ]
    invocation.show_all(rows, SQL_COLUMNS, name="statement")
    reasons = {each.reason for each in reply.statements}
    if any(each.left_out for each in reply.statements):
        # Of a statement one reason is told, and that of an unknown table may not be it.
        reasons.add("TABLE_UNKNOWN")
    for reason in sorted(reasons & HINTS.keys()):
        click.echo(f"{reason}: {HINTS[reason]}", err=True)
    if "SYNTAX" in reasons:
        context.exit(EXIT_REFUSED)


def _text(file: TextIO) -> str:
    """What is in a file. Raises BadParameter for what is no text."""
    try:
        return file.read()
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{file.name} is no UTF-8: {error.reason}", param_hint="FILE") from None

"""`lakewarden lineage ingest`: telling the server which data was made of which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TextIO

import click

from lakewarden.cli._commands import Command
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._terminal import printable

EXIT_REFUSED = 1
SHOWN_MAX = 20
"""Refused events that are written out."""
PROGRESS_EVENTS = 1_000


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
            yield from read_events(file.read())

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

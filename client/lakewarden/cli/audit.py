"""`lakewarden audit`: what was done and what was refused, and whether anybody changed the record of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import limit_option, time_of
from lakewarden.cli._terminal import counted

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

COLUMNS = ("event_time", "actor", "subject", "outcome", "operation", "privilege", "object_name", "reason")
OUTCOMES = ("DONE", "ALLOWED", "DENIED")
EXIT_FOUND = 1
RECENT_DEFAULT = 10


@click.group("audit", cls=Group, example="lakewarden audit list --actor bob@example.com --since 7d")
def audit() -> None:
    """Read and verify the audit: changes, denials and decisions. Account admins; for one metastore, its admins list."""


_OPTIONS = (
    click.option("--since", callback=time_of, metavar="TIME", help="At this time or later, or so long ago (7d)."),
    click.option("--until", callback=time_of, metavar="TIME", help="Before this time."),
    click.option("--actor", default="", metavar="NAME", help="Who called."),
    click.option("--subject", default="", metavar="NAME", help="On whose behalf or about whom."),
    click.option("--object", "object_name", default="", metavar="NAME", help="Of this object and what is in it."),
    click.option("--type", "object_kind", default="", metavar="TYPE", help="Of objects of this kind."),
    click.option(
        "--action", default="", metavar="ACTION", help="An operation (table.delete, table) or RPC (CreateTable)."
    ),
    click.option("--from-workspace", default="", metavar="NAME", help="Called from this workspace."),
    click.option(
        "--outcome", type=click.Choice(OUTCOMES, case_sensitive=False), default=None, help="How it ended."
    ),
    click.option("--request-id", default="", metavar="ID", help="Of this request."),
)  # fmt: skip


def filter_options(decorated: Decorated) -> Decorated:
    """The filters that list, tail and export share, as keyword arguments of `Audit.list`."""
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def _filters(*, from_workspace: str, outcome: str | None, **filters: Any) -> dict[str, Any]:
    return {**filters, "workspace": from_workspace, "outcome": outcome or ""}


@audit.command("list", example="lakewarden audit list --object main.sales --outcome DENIED --since 24h")
@filter_options
@click.option("--oldest-first", is_flag=True, help="Begin with the oldest.")
@limit_option
@pass_invocation
def list_records(invocation: Invocation, /, oldest_first: bool, limit: int | None, **filters: Any) -> None:
    """List what was done and what was refused, the newest first."""
    rows = invocation.open_client().audit.list(**_filters(**filters), oldest_first=oldest_first, limit=limit)
    invocation.show_all(rows, COLUMNS, name="event_id")


@audit.command("tail", example="lakewarden audit tail --outcome DENIED -o jsonl")
@filter_options
@click.option(
    "--last", type=click.IntRange(min=0, max=1000), default=RECENT_DEFAULT, metavar="N", help="Begin with so many."
)  # fmt: skip
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=2.0, metavar="SECONDS", help="Ask again after (2)."
)
@limit_option
@pass_invocation
def tail(invocation: Invocation, /, last: int, interval: float, limit: int | None, **filters: Any) -> None:
    """Show what is done and refused as it happens, until Ctrl-C."""
    from itertools import islice

    stream = invocation.open_client().audit.follow(
        last=last, interval_seconds=interval, **_filters(**filters)
    )
    for record in islice(stream, limit):
        # One at a time, so that each appears when it happens and not when the stream ends.
        if invocation.is_brief:
            click.echo(_line(record))
        else:
            invocation.show(record, name="event_id")
        sys.stdout.flush()


def _line(record: Any) -> str:
    from lakewarden.cli._plain import to_plain
    from lakewarden.cli._terminal import printable

    plain = to_plain(record)
    return printable("  ".join(str(plain[column]) for column in COLUMNS if plain[column]))


@audit.command(
    "export", example="lakewarden audit export --format parquet --output audit.parquet --since 2026-11-01"
)
@filter_options
@click.option(
    "--format", "file_format", type=click.Choice(("jsonl", "parquet")), default="jsonl", help="Of the file (jsonl)."
)  # fmt: skip
@click.option(
    "--output", "path", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Where to write; what was there is replaced when the new file is whole.",
)  # fmt: skip
@pass_invocation
def export(invocation: Invocation, /, file_format: str, path: Path, **filters: Any) -> None:
    """Write the audit to a file with the columns of `system.access.audit`, the oldest first.

    Parquet needs pyarrow: pip install 'lakewarden[audit]'.
    """
    from lakewarden._audit_export import export as write

    records = invocation.open_client().audit.list(**_filters(**filters), oldest_first=True, page_size=1000)
    try:
        count = write(records, path, file_format=file_format)
    except OSError as error:
        raise click.BadParameter(f"{path} cannot be written: {error.strerror or error}") from None
    invocation.note(f"{counted(count, 'record')} in {path}")


@audit.command("head", example="lakewarden audit head -o name >> /backup/audit-heads")
@pass_invocation
def head(invocation: Invocation) -> None:
    """Show the last link of the chain of changes; keep it on another machine, for `verify --head`."""
    found = invocation.open_client().audit.head()
    invocation.show({"head": str(found), "sequence": found.sequence, "hash": found.hash}, name="head")


@audit.command("verify", example="lakewarden audit verify --head 42:9f86d0…")
@click.option(
    "--head", "exported", default="", metavar="SEQUENCE:HASH", help="A head that was kept off the machine."
)
@click.pass_context
@pass_invocation
def verify(invocation: Invocation, context: click.Context, exported: str) -> None:
    """Verify the chain of changes; exits 1 when it was edited, cut, reordered or added to.

    Only with a head that was exported before does it find a tail that was cut off whole, or a chain computed anew.
    """
    from lakewarden._audit import AuditHead

    known = AuditHead.parse(exported) if exported else None
    found = invocation.open_client().audit.verify(known)
    if found.findings or invocation.output != "table":
        invocation.show_all(found.findings, ("sequence", "problem"), name="sequence")
    if found:
        invocation.note(f"whole: {found.head.sequence} changes, head {found.head}")
    else:
        invocation.note(f"broken in {counted(len(found.findings), 'place')}")
    context.exit(0 if found else EXIT_FOUND)


@audit.command("replay", example="lakewarden audit replay --since 7d")
@click.option("--since", callback=time_of, metavar="TIME", help="At this time or later, or so long ago (7d).")
@click.option("--until", callback=time_of, metavar="TIME", help="Before this time.")
@click.pass_context
@pass_invocation
def replay(
    invocation: Invocation, context: click.Context, since: datetime | None, until: datetime | None
) -> None:
    """Decide logged denials and decisions again, each at its revision; exits 1 when one comes out otherwise.

    Each is decided on the state, at the time and by the policy it was logged with. What it finds was changed in the log
    afterwards, or was decided wrongly.
    """
    from lakewarden.cli._plain import to_plain

    found = invocation.open_client().audit.replay(since=since, until=until)
    rows = (
        {**to_plain(difference.record), "problem": difference.problem} for difference in found.differences
    )
    if found.differences or invocation.output != "table":
        invocation.show_all(rows, (*COLUMNS[:-1], "problem"), name="event_id")
    for reason, count in sorted(found.skipped.items()):
        invocation.note(f"{count} not decided again: {reason}")
    invocation.note(f"{found.replayed} decided again, {len(found.differences)} came out otherwise")
    context.exit(0 if found else EXIT_FOUND)

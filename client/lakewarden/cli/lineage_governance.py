"""`lakewarden lineage leaks` and `lakewarden lineage impact --revoke`: governance from lineage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from lakewarden.cli._commands import Command
from lakewarden.cli._invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from lakewarden.v1.lineage_governance_pb2 import (
        DownstreamEffect,
        LeakStep,
        LineageLeak,
        LineageReader,
        ReadLoss,
        UngrantedPrivilege,
    )

EXIT_FOUND = 1
"""With `--fail`: there are leaks, or it is not sure that there are none."""

format_option = click.option(
    "--format", "form", type=click.Choice(["table", "json"]), help="How to show it; the same as -o."
)
DEPTH_DEFAULT = 20
_depth = click.option(
    "--depth", "max_depth", type=click.IntRange(1, 100), default=DEPTH_DEFAULT, show_default=True, metavar="N", help="At most so many steps."
)  # fmt: skip


@click.command(
    "leaks",
    cls=Command,
    example="lakewarden lineage leaks\n"
    "lakewarden lineage leaks --table main.crm.people --column main.hr.salaries.amount --fail\n"
    "lakewarden lineage leaks --tag pii=email --tag secret",
)
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Only from the masks and the row filter of this table; repeatable.")  # fmt: skip
@click.option("--column", "columns", multiple=True, metavar="NAME", help="From this column, masked or not: catalog.schema.table.column; repeatable.")  # fmt: skip
@click.option("--tag", "tags", multiple=True, metavar="KEY[=VALUE]", help="From tagged columns, and tagged tables as a whole, masked or not; repeatable.")  # fmt: skip
@click.option("--indirect", "include_indirect", is_flag=True, help="Also where a column only chose, joined, grouped or ordered rows.")  # fmt: skip
@_depth
@click.option("--fail", is_flag=True, help="Exit with 1 when there is a leak, or when the answer is not whole.")  # fmt: skip
@format_option
@click.pass_context
@pass_invocation
def leaks(
    invocation: Invocation,
    context: click.Context,
    tables: tuple[str, ...],
    columns: tuple[str, ...],
    tags: tuple[str, ...],
    include_indirect: bool,
    max_depth: int,
    fail: bool,
    form: str | None,
) -> None:
    """Find copies of masked or tagged columns and filtered or tagged tables that are not masked or filtered, and who reads them.

    Who reads them are those who cannot read the source as it is. A finding is shown to who sees every step of its way and may
    grant on the copy.
    """
    invocation.output = form or invocation.output
    found = invocation.open_client().lineage_governance.leaks(
        tables,
        columns=map(_column, columns),
        tags=tags,
        include_indirect=include_indirect,
        max_depth=max_depth,
    )
    if invocation.is_brief:
        rows = list(map(_leak_row, found.leaks))
        invocation.show_all(rows, ("source", "protected_by", "copy", "via", "read_by"), name="copy")
        if not rows:
            invocation.note("No leak that you may know of.")
    else:
        invocation.show(found)
    _note_truncation(invocation, found.truncated_by)
    context.exit(EXIT_FOUND if fail and (found.leaks or found.truncated_by) else 0)


def show_revoke(
    invocation: Invocation,
    privileges: tuple[str, ...],
    securable: tuple[str, str],
    principal: str,
    max_depth: int,
) -> None:
    """Shows what would happen downstream if a grant went."""
    found = invocation.open_client().lineage_governance.simulate_revoke(
        privileges, *securable, principal, max_depth=max_depth
    )
    if invocation.output == "table":
        invocation.show_all(map(_loss_row, found.losses), ("could_not_read", "who", "would_keep"))
        click.echo()
        columns = ("steps", "downstream", "because", "of", "jobs", "read_by")
        invocation.show_all(map(_effect_row, found.effects), columns)
        if not found.losses and not found.effects and len(found.not_granted) < len(set(privileges)):
            invocation.note("Nobody that you may know of would lose anything.")
        elif found.losses and not found.effects:
            invocation.note("Nothing downstream that you may know of would change.")
    else:
        invocation.show(found, name="revision")
    for absent in found.not_granted:
        invocation.note(_ungranted_words(absent, securable, principal))
    _note_truncation(invocation, found.truncated_by)


def _ungranted_words(absent: UngrantedPrivilege, securable: tuple[str, str], principal: str) -> str:
    """That a revoke would change nothing, and where to revoke instead."""
    from lakewarden.cli._sources import source_words

    privilege, (kind, name) = absent.privilege.replace("_", " "), securable
    place = f"{kind.lower().replace('_', ' ')} {name}"
    told = f"{privilege} is not granted on {place} to {principal}: revoking it there changes nothing."
    held = "; ".join(map(source_words, absent.sources))
    return f"{told} It is held through: {held}." if held else told


def _column(name: str) -> tuple[str, str]:
    # A column may be one inside another, with dots of its own.
    *table, column = name.split(".", 3)
    if len(table) != 3 or not all((*table, column)):
        raise click.BadParameter(
            f"{name} is no column: write catalog.schema.table.column", param_hint="--column"
        )
    return ".".join(table), column


def _note_truncation(invocation: Invocation, truncated_by: str) -> None:
    if truncated_by:
        invocation.note(f"There may be more: cut by {truncated_by}.")


def _leak_row(leak: LineageLeak) -> dict[str, Any]:
    from lakewarden.v1.lineage_governance_pb2 import LineageLeak

    told = {
        LineageLeak.COLUMN_MASK: "mask",
        LineageLeak.ROW_FILTER: "row filter",
        LineageLeak.PRIVILEGE: "privilege",
    }.get(leak.protection, "")
    steps = list(map(_step, leak.way))
    jobs = [job for step in leak.way for job in step.jobs]
    how = "indirect" if leak.indirect else "table lineage" if leak.evidence == LineageLeak.TABLE else ""
    return {
        "source": steps[0] if steps else "",
        "protected_by": f"{told} {leak.function}".strip(),
        "copy": steps[-1] if steps else "",
        "via": [*steps[1:-1], *(f"({each})" for each in (*jobs, how) if each)],
        "read_by": _reader_words(leak.readers, truncated=leak.readers_truncated),
    }


def _loss_row(loss: ReadLoss) -> dict[str, Any]:
    from lakewarden.cli._sources import kind_words

    rest = loss.lost_count - len(loss.principals)
    return {
        "could_not_read": f"{kind_words(loss.securable_type)} {loss.full_name}",
        "who": [*loss.principals, *([f"and {rest} more"] if rest else [])],
        "would_keep": loss.kept_count,
    }


def _effect_row(effect: DownstreamEffect) -> dict[str, Any]:
    from lakewarden.v1.lineage_governance_pb2 import DownstreamEffect

    who = ", ".join(effect.principals)
    because = {
        DownstreamEffect.OWNER: f"its owner {who} loses",
        DownstreamEffect.RUNNER: f"{who}, who ran it, loses",
        DownstreamEffect.UPSTREAM: "is no longer fed by",
    }.get(effect.cause, "")
    return {
        "steps": effect.distance,
        "downstream": f"{effect.kind.lower().replace('_', ' ')} {effect.name}",
        "because": because,
        "of": effect.input,
        "jobs": list(effect.jobs),
        "read_by": _reader_words(effect.readers, truncated=effect.readers_truncated),
    }


def _step(step: LeakStep) -> str:
    return f"{step.name}.{step.column}" if step.column else step.name


def _reader_words(readers: Iterable[LineageReader], *, truncated: bool) -> Sequence[str]:
    from lakewarden.cli._sources import source_words

    words = [f"{source_words(each.source)} ({each.principal_count})" for each in readers]
    return [*words, "and more"] if truncated else words

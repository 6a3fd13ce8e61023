"""`lakewarden lineage`: which data was made of which."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from lakewarden._errors import InvalidArgument
from lakewarden._times import time_text
from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import time_of
from lakewarden.cli._terminal import counted, printable
from lakewarden.cli.external_lineage import declare, declared, or_nothing, undeclare
from lakewarden.cli.lineage_events import from_sql, ingest
from lakewarden.cli.lineage_export import directions, export
from lakewarden.cli.lineage_governance import leaks
from lakewarden.cli.lineage_impact import (
    ASSET_TYPES,
    impact,
    namespace_option,
    type_option,
    unknown_columns,
    with_last,
)

if TYPE_CHECKING:
    from lakewarden.lineage import Lineage, LineageEdgeHistory

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

FORMATS = ("tree", "json", "jsonl", "dot", "mermaid", "svg")
DEPTH_DEFAULT = 5
NODES_DEFAULT = 2_000
NODES_MAX = 20_000
STREAM_NODES_MAX = 250_000
"""Of an answer that is told as it comes, level by level."""
DAYS_MAX = 400
EXIT_NO_PATH = 1
OTHER_NAMES = """\
A column: lakewarden lineage column catalog.schema.table.column, also impact.
What is no table or view: --type external_metadata and the like; of two ends --source-type, --target-type.
A dataset of another system: --namespace; of two ends --source-namespace, --target-namespace."""
NO_HISTORY = "No run that you may know of made one directly of the other. Ways over other assets:"


class _Lineage(Group):
    def invoke(self, context: click.Context) -> Any:
        """Run a command; of a name that is no table's tell how else it may be meant."""
        try:
            return super().invoke(context)
        except InvalidArgument as error:
            if error.reason == "NAME_INVALID":
                error.add_note(OTHER_NAMES)
            raise


@click.group("lineage", cls=_Lineage, example="lakewarden lineage upstream main.sales.orders")
def lineage() -> None:
    """Show which data was made of which, as far as you may see it; what you may not see is named (hidden)."""


for _command in (ingest, from_sql, export, leaks, impact, declare, declared, undeclare):
    lineage.add_command(_command)


_OPTIONS = (
    click.argument("name"),
    type_option,
    namespace_option,
    click.option("--depth", "max_depth", type=click.IntRange(1, 100), default=DEPTH_DEFAULT, show_default=True, metavar="N", help="At most so many steps."),
    click.option("--nodes", "max_nodes", type=click.IntRange(1, STREAM_NODES_MAX), default=NODES_DEFAULT, show_default=True, metavar="N", help=f"At most so many assets: up to {NODES_MAX:,}, as jsonl up to {STREAM_NODES_MAX:,}."),
    click.option("--include", "include_states", multiple=True, type=click.Choice(["PROVISIONAL", "DROPPED"], case_sensitive=False), help="Also edges in this state; repeatable."),
    click.option("--evidence", multiple=True, type=click.Choice(["OBSERVED", "PARSED", "DECLARED"], case_sensitive=False), help="Only edges that a run told of, that were read from SQL, or that somebody declared; repeatable."),
    click.option("--as-of", "as_of", callback=time_of, metavar="TIME", help="The lineage as it was then (2026-11-20T08:30Z, 7d), of what had the name then."),
    click.option("--format", "form", type=click.Choice(FORMATS), default="tree", show_default=True, help="How to show it; jsonl is a line for each step from NAME, as soon as it is there."),
    click.option("--to", "target", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it into this file instead."),
)  # fmt: skip


def shown_options(decorated: Decorated) -> Decorated:
    """The name of an asset and how far and in which form to show what is around it."""
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


@lineage.command("upstream", example="lakewarden lineage upstream main.sales.orders --depth 2")
@shown_options
@pass_invocation
def upstream(invocation: Invocation, /, **asked: Any) -> None:
    """Show what an asset was made of."""
    _show(invocation, "upstream", **asked)


@lineage.command("downstream", example="lakewarden lineage downstream main.sales.orders --format mermaid")
@shown_options
@pass_invocation
def downstream(invocation: Invocation, /, **asked: Any) -> None:
    """Show what was made of an asset."""
    _show(invocation, "downstream", **asked)


@lineage.command(
    "show", example="lakewarden lineage show main.sales.orders --format svg --to orders-lineage.svg"
)
@shown_options
@pass_invocation
def show(invocation: Invocation, /, **asked: Any) -> None:
    """Show what an asset was made of and what was made of it."""
    _show(invocation, "both", **asked)


@lineage.command("column", example="lakewarden lineage column main.sales.orders amount --upstream")
@shown_options
@click.argument("columns", nargs=-1)
@directions("they were", "them")
@click.option("--indirect", "include_indirect", is_flag=True, help="Also what filters, joins and orders by them.")  # fmt: skip
@pass_invocation
def column(invocation: Invocation, /, name: str, columns: tuple[str, ...], **asked: Any) -> None:
    """Show what columns of an asset were made of and what was made of them; without COLUMNS, of all that anything is known of.

    A column may be the fourth part of NAME too.
    """
    form, target = asked.pop("form"), asked.pop("target")
    name, columns = with_last(name, columns, asked)
    if form == "jsonl":
        _stream(invocation, target, name=name, columns=columns, **asked)
        return
    _check_nodes(asked["max_nodes"])
    found = invocation.open_client().lineage.columns(name, *columns, **asked)
    _tell(invocation, found, form, target)
    if columns and not found.edges:
        invocation.note(unknown_columns(name, columns))


def _two_ends(decorated: Decorated) -> Decorated:
    """SOURCE and TARGET, and what each is the name of."""
    for end in ("target", "source"):
        kind = click.Choice(ASSET_TYPES)
        for option in (
            click.option(f"--{end}-namespace", default="", metavar="TEXT", help=f"{end.upper()} is that of a dataset of this OpenLineage namespace."),
            click.option(f"--{end}-type", callback=or_nothing, type=kind, help=f"What {end.upper()} is the name of, as --type of upstream."),
            click.argument(end),
        ):  # fmt: skip
            decorated = option(decorated)
    return decorated


@lineage.command("paths", example="lakewarden lineage paths main.raw.orders main.sales.report\nlakewarden lineage paths main.raw.orders sales_dashboard --target-type external_metadata")  # fmt: skip
@_two_ends
@click.option("--depth", "max_depth", type=click.IntRange(1, 100), default=20, show_default=True, metavar="N", help="At most so many steps.")  # fmt: skip
@click.option("--limit", "max_paths", type=click.IntRange(1, 100), default=10, show_default=True, metavar="N", help="At most so many ways.")  # fmt: skip
@click.pass_context
@pass_invocation
def paths(
    invocation: Invocation, context: click.Context, /, max_depth: int, max_paths: int, **ends: str
) -> None:
    """Show the ways on which data went from one asset to another, the shortest first. Exits with 1 where there is none."""
    found = invocation.open_client().lineage.paths(**ends, max_depth=max_depth, max_paths=max_paths)
    if invocation.output == "table":
        for way in found:
            click.echo(printable(" → ".join(node.label for node in way)))
    else:
        rows = [{"steps": len(way) - 1, "assets": [node.name for node in way]} for way in found]
        invocation.show_all(rows, ("steps", "assets"), name="assets")
    if found.truncated:
        click.echo("This may not be all: --limit says how many ways are shown.", err=True)
    if not found:
        click.echo("No way that you may see leads there.", err=True)
        context.exit(EXIT_NO_PATH)


@lineage.command("history", example="lakewarden lineage history main.raw.orders main.sales.report")
@_two_ends
@click.option(
    "--as-of",
    "as_of",
    callback=time_of,
    metavar="TIME",
    help="SOURCE and TARGET are what had these names then.",
)
@click.option(
    "--days",
    type=click.IntRange(1, DAYS_MAX),
    metavar="N",
    help="Show instead on which of the last N days how many runs did.",
)
@pass_invocation
def history(invocation: Invocation, /, as_of: datetime | None, days: int | None, **ends: str) -> None:
    """Show since when, how often and until when runs made one asset of another, and what changed. You must see both."""
    edges = invocation.open_client().lineage.history(**ends, as_of=as_of, days=days or 0)
    if not edges:
        invocation.note(f"{NO_HISTORY} lakewarden lineage paths {_said(ends)}")
    rows = [row for edge in edges for row in (_days(edge) if days else _versions(edge))]
    if days:
        invocation.show_all(rows, ("date", "job", "runs", "first_time", "last_time", "last_run"), name="date")
    else:
        columns = ("job", "state", "runs", "last_run", "reason", "from_time", "until_time")
        invocation.show_all(rows, columns, name="reason")
    if edges.truncated:
        click.echo("This is not all: more than 100 jobs, or more runs than are counted by day.", err=True)


def _said(ends: dict[str, str]) -> str:
    """Both ends as they were said, to be said again."""
    options = (
        f"--{name.replace('_', '-')} {shlex.quote(text)}"
        for name, text in ends.items()
        if text and name not in ("source", "target")
    )
    return " ".join((shlex.quote(ends["source"]), shlex.quote(ends["target"]), *options))


def _versions(edge: LineageEdgeHistory) -> list[dict[str, Any]]:
    return [
        {
            "job": _job(edge),
            "state": edge.state or None,
            "runs": edge.run_count or None,
            "last_run": edge.last_run or None,
            "reason": version.reason,
            "from_time": _told(version.from_time),
            "until_time": _told(version.until_time),
        }
        for version in edge.versions
    ]


def _days(edge: LineageEdgeHistory) -> list[dict[str, Any]]:
    return [
        {
            "date": day.date,
            "job": _job(edge),
            "runs": day.run_count,
            "first_time": _told(day.first_time),
            "last_time": _told(day.last_time),
            "last_run": day.last_run or None,
        }
        for day in edge.days
    ]


def _job(edge: LineageEdgeHistory) -> str | None:
    return f"{edge.job_namespace} {edge.job_name}".strip() or None


def _told(time: datetime | None) -> str | None:
    return time_text(time) if time else None


def _show(
    invocation: Invocation, direction: str, *, name: str, form: str, target: Path | None, **asked: Any
) -> None:
    if form == "jsonl":
        _stream(invocation, target, name=name, direction=direction, **asked)
        return
    _check_nodes(asked["max_nodes"])
    found = invocation.open_client().lineage.traverse(name, direction=direction, **asked)
    _tell(invocation, found, form, target)


def _tell(invocation: Invocation, found: Lineage, form: str, target: Path | None) -> None:
    if form == "tree" and target is None and invocation.output == "name":
        invocation.show_all([{"name": node.label} for node in found.nodes], ("name",), name="name")
        return
    if form == "tree" and target is None and invocation.output != "table":
        invocation.show(found.to_dict(), name="nodes")
        return
    text = _form(found, "json" if form == "tree" and invocation.output == "json" else form)
    if target is None:
        click.echo(text, nl=False)
        return
    with _writing(target) as file:
        file.write(text)
    assets, edges = counted(len(found.nodes), "asset"), counted(len(found.edges), "edge")
    invocation.note(f"{assets} and {edges} in {target}")


@contextmanager
def _writing(target: Path) -> Iterator[TextIO]:
    try:
        with target.open("w", encoding="utf-8") as file:
            yield file
    except OSError as error:
        raise click.BadParameter(f"{target} cannot be written: {error.strerror or error}") from None


def _check_nodes(max_nodes: int) -> None:
    """Raises BadParameter for more assets than come in one answer."""
    if max_nodes > NODES_MAX:
        raise click.BadParameter(
            f"more than {NODES_MAX:,} come with --format jsonl only", param_hint="--nodes"
        )


def _stream(invocation: Invocation, target: Path | None, **asked: Any) -> None:
    """Writes each step when it is there, and at the end how the answer ended."""
    writing: AbstractContextManager[TextIO | None] = _writing(target) if target else nullcontext()
    with invocation.open_client().lineage.stream(**asked) as levels, writing as file:
        for level in levels:
            click.echo(json.dumps(level.to_dict(), ensure_ascii=False), file=file)
        if levels.ending is not None:
            click.echo(json.dumps(levels.ending.to_dict()), file=file)


def _form(found: Lineage, form: str) -> str:
    from lakewarden.lineage import to_dot, to_mermaid, to_svg, to_tree

    if form == "tree":
        return "".join(f"{line}\n" for line in to_tree(found))
    if form == "json":
        return json.dumps(found.to_dict(), indent=2, ensure_ascii=False) + "\n"
    return {"dot": to_dot, "mermaid": to_mermaid, "svg": to_svg}[form](found)

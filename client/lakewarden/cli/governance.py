"""`lakewarden export`, `validate`, `diff`, `apply` and `test`: governance as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lakewarden.cli._commands import Command
from lakewarden.cli._fixes import without_statements, write_fixes
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import yes_option
from lakewarden.cli._terminal import counted, printable, styled

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakewarden.governance.asserting import Outcome
    from lakewarden.governance.documents import Document
    from lakewarden.governance.steps import Plan, Step

EXIT_DIFFERENT = 1
EXIT_FAILED = 1
EXIT_INVALID = 2
LEFT_SHOWN_MAX = 10
_COLOURS = {"+": "green", "~": "yellow", "-": "red"}

files_argument: Callable[[Any], Any] = click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
prune_option: Callable[[Any], Any] = click.option(
    "--prune", is_flag=True, help="Take away what the files, within their [scope], do not mention."
)


@click.command("export", cls=Command, example="lakewarden export --output governance.toml")
@click.option(
    "--output",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it there.",
)
@click.option(
    "--catalog", "catalogs", multiple=True, metavar="NAME", help="Only this catalog; repeat for more."
)
@pass_invocation
def export(invocation: Invocation, file: Path | None, catalogs: tuple[str, ...]) -> None:
    """Write what the server has as a governance file: the account, and the metastore of the workspace.

    The same state always gives the same bytes. Secrets, tokens and application ids are not in it. Needs an account admin who owns
    the metastore, or with --catalog the owner of each catalog: nobody else sees all of it.
    """
    client = invocation.open_client()
    from lakewarden.governance.server import ServerReader, whole_scope
    from lakewarden.governance.writing import write

    reader = ServerReader(client, whole_scope(client, catalogs))
    reader.require_whole()
    before = client.session.get().revision
    document = reader.read()
    if client.session.get().revision != before:
        invocation.note("Warning: the server changed meanwhile, so this may be a mixture. Export again.")
    text = write(document)
    if file is None:
        click.echo(text, nl=False)
        return
    file.write_text(text, encoding="utf-8", newline="\n")
    invocation.note(f"wrote {len(document.rows)} objects and {len(document.grants)} grants to {file}")


@click.command("validate", cls=Command, example="lakewarden validate people.toml main.toml")
@files_argument
@pass_invocation
@click.pass_context
def validate(context: click.Context, invocation: Invocation, files: tuple[Path, ...]) -> None:
    """Check governance files without a server, and tell every problem with its line.

    Exits with 2 when there is one. References to what the files do not describe are problems only within their [scope].
    """
    document = _read(context, files)
    if document.scope is None:
        invocation.note("no [scope]: whether what they refer to exists is for the server to say")
    parts = ((document.rows, "object"), (document.grants, "grant"), (document.assertions, "assertion"))
    invocation.note(f"valid: {', '.join(counted(len(rows), noun) for rows, noun in parts)}")


@click.command("diff", cls=Command, example="lakewarden diff governance.toml")
@files_argument
@prune_option
@pass_invocation
@click.pass_context
def diff(context: click.Context, invocation: Invocation, files: tuple[Path, ...], prune: bool) -> None:
    """Show what `apply` would do, step by step. Exits with 1 when there is something, with 0 when there is nothing to do."""
    document = _read(context, files)
    client = invocation.open_client()
    from lakewarden.governance.comparing import compare

    found = compare(client, document, prune=prune).plan
    _show_plan(invocation, found)
    context.exit(EXIT_DIFFERENT if found.steps else 0)


@click.command("apply", cls=Command, example="lakewarden apply governance.toml --prune --dry-run")
@files_argument
@prune_option
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@yes_option
@pass_invocation
@click.pass_context
def apply(
    context: click.Context,
    invocation: Invocation,
    files: tuple[Path, ...],
    prune: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Bring the server to what the files say, one call for each step of the plan.

    Without --prune nothing is taken away. Stops at the first step that fails; applied again it goes on from there. Asks before
    anything is deleted, revoked or removed from a group.
    """
    document = _read(context, files)
    client = invocation.open_client()
    from lakewarden.governance.applying import Applier
    from lakewarden.governance.comparing import compare

    comparison = compare(client, document, prune=prune)
    _show_plan(invocation, comparison.plan)
    if dry_run or not comparison.plan.steps:
        return
    gone = comparison.plan.takes_away()
    if gone:
        takes = "takes" if gone == 1 else "take"
        invocation.confirm(f"{counted(gone, 'step')} {takes} something away. Apply?", yes=yes)

    def tell(number: int, count: int, step: Step) -> None:
        invocation.note(f"[{number}/{count}] {printable(step.title)}")

    Applier(client, comparison).run(tell)
    invocation.note(f"applied {counted(len(comparison.plan.steps), 'step')}")


@click.command("test", cls=Command, example="lakewarden test governance.toml --junit report.xml")
@files_argument
@click.option(
    "--junit",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the outcomes there as JUnit XML, for CI.",
)
@pass_invocation
@click.pass_context
def test(context: click.Context, invocation: Invocation, files: tuple[Path, ...], junit: Path | None) -> None:
    """Ask the server every [[assert]] of the files, and show the answers that are not the expected ones.

    Exits with 1 when there is one. Asking about others needs the role QUERY_ENGINE in the workspace of each question.
    """
    document = _read(context, files)
    client = invocation.open_client()
    from lakewarden.governance.asserting import ask

    outcomes = list(ask(client, document.assertions))
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if junit is not None:
        from lakewarden.governance.junit import write_junit

        write_junit(junit, outcomes)
    if invocation.output == "table":
        for outcome in failed:
            _show_failure(outcome)
    else:
        invocation.show_all((outcome.record() for outcome in outcomes), (), name="place")
    invocation.note(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed")
    context.exit(EXIT_FAILED if failed else 0)


def _read(context: click.Context, files: tuple[Path, ...]) -> Document:
    """The files as one document; ends the command when there is a problem in them."""
    from lakewarden.governance.checking import check
    from lakewarden.governance.reading import read_files

    document, problems = read_files(files)
    problems += check(document)
    if problems:
        for problem in sorted(problems):
            click.echo(printable(str(problem)), err=True)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        click.echo(f"{styled('Error:', 'red')} {count} in the files [INVALID_ARGUMENT]", err=True)
        context.exit(EXIT_INVALID)
    return document


def _show_plan(invocation: Invocation, plan: Plan) -> None:
    """The plan on stdout; what it leaves alone on stderr."""
    if invocation.output == "table":
        for step in plan.steps:
            for sign, text in step.lines():
                click.echo(f"{styled(sign, _COLOURS[sign], stdout=True)} {printable(text)}")
            for line in step.details():
                click.echo(f"    {printable(line)}")
        click.echo(plan.summary())
    else:
        invocation.show_all((step.record() for step in plan.steps), (), name="name")
    for told in plan.kept:
        invocation.note(f"kept: {printable(told)}")
    if plan.left:
        shown = plan.left[:LEFT_SHOWN_MAX]
        more = [f"... and {len(plan.left) - len(shown)} more"] if len(plan.left) > len(shown) else []
        invocation.note(
            "\n  ".join(["not in the files, so --prune would take it away:", *map(printable, shown), *more])
        )


def _show_failure(outcome: Outcome) -> None:
    """A failed assertion for people: what was asked, what was expected, why not, and what would help."""
    asked, record = outcome.assertion, outcome.record()
    question = f"{asked.privilege} on {asked.kind} {asked.object} for {asked.principal}"
    where = f" from workspace {asked.workspace}" if asked.workspace else ""
    click.echo(f"{styled('FAILED', 'red', stdout=True)} {asked.place}: {printable(question + where)}")
    click.echo(f"  expected {record['expected']}, got {record['actual']}")
    for label, text in (("why", asked.reason), ("reason", without_statements(outcome.reason))):
        if text:
            click.echo(f"  {label}: {printable(text)}")
    write_fixes(outcome.fixes)

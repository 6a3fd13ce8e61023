"""The command and group classes of the command line: global options everywhere, an example in every help, lazy loading."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from lakewarden.cli._invocation import OUTPUT_FORMATS, Invocation


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Keep a global option; the one nearest to the command wins, because it is parsed last."""
    invocation = context.ensure_object(Invocation)
    name = str(parameter.name)
    if context.get_parameter_source(name) is not click.core.ParameterSource.COMMANDLINE:
        return
    setattr(invocation, name, value)
    if name == "token" and not context.resilient_parsing:
        click.echo(
            "Warning: a token on the command line is seen by every user of this machine; use login.", err=True
        )


def global_options(*, hidden: bool) -> list[click.Option]:
    """The options that every command takes, before or after its name."""
    shared: dict[str, Any] = {"expose_value": False, "callback": _remember, "hidden": hidden}
    timeout = click.FloatRange(min=0, max=30, min_open=True)
    return [
        click.Option(["--endpoint"], metavar="HOST:PORT", help="The server.", **shared),
        click.Option(["--token"], metavar="TOKEN", help="Personal access token (better: login).", **shared),
        click.Option(["--workspace"], metavar="NAME", help="The workspace to call from.", **shared),
        click.Option(["--profile"], metavar="NAME", help="The profile to use.", **shared),
        click.Option(
            ["-o", "--output"], type=click.Choice(OUTPUT_FORMATS), help="How to print (table).", **shared
        ),
        click.Option(
            ["--timeout"], type=timeout, metavar="SECONDS", help="Deadline of each call (10).", **shared
        ),
        click.Option(["--ca-file"], metavar="FILE", help="Certificates to trust, in PEM.", **shared),
        click.Option(["--cert-file"], metavar="FILE", help="Client certificate to show, in PEM.", **shared),
        click.Option(["--key-file"], metavar="FILE", help="Key of that certificate, in PEM.", **shared),
        click.Option(
            ["--insecure"], is_flag=True, help="Send a token in plain text to another machine.", **shared
        ),
        click.Option(["-q", "--quiet"], is_flag=True, help="Leave out the notes on stderr.", **shared),
    ]


class Command(click.Command):
    """A command that takes the global options and whose help ends with an example."""

    def __init__(self, *arguments: Any, example: str, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.example = example
        # An option of the command's own wins over a global one of the same name.
        taken = {option for parameter in self.params for option in parameter.opts}
        self.params += [option for option in global_options(hidden=True) if not taken & set(option.opts)]

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Refuse an empty required argument: it is a script's unset variable, and on the wire it would mean the default."""
        rest = super().parse_args(context, arguments)
        for parameter in self.params:
            value = context.params.get(str(parameter.name))
            empty = "" in value if isinstance(value, tuple) else value == ""
            if isinstance(parameter, click.Argument) and parameter.required and empty:
                raise click.BadParameter("it is empty", context, parameter)
        return rest

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """End the help with the example."""
        write_example(formatter, self.example)
        formatter.write_paragraph()
        formatter.write_text(
            "Global options, such as -o and --workspace, stand here too: see `lakewarden --help`."
        )


class Group(click.Group):
    """A noun: its commands are `Command`s, and its help ends with an example."""

    command_class = Command

    def __init__(self, *arguments: Any, example: str, global_hidden: bool = True, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.example = example
        self.params += global_options(hidden=global_hidden)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """End the help with the example."""
        write_example(formatter, self.example)

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was probably meant."""
        name = arguments[0]
        if self.get_command(context, name) is None and not name.startswith("-"):
            near = _near(name, self.list_commands(context))
            meant = f" Did you mean {' or '.join(near)}?" if near else ""
            context.fail(f"no such command: {name}.{meant}")
        return super().resolve_command(context, arguments)


def _near(name: str, known: Sequence[str]) -> list[str]:
    """Those all of whose words are in the name (`set-mask` for `set-column-mask`), or else those that are spelt alike."""
    words = set(name.split("-"))
    within = [other for other in known if set(other.split("-")) <= words]
    return within or difflib.get_close_matches(name, known, n=2, cutoff=0.7)


class LazyGroup(Group):
    """The root: knows its commands by name and a line of help, and imports one only when it is run.

    `commands_by_name` maps a name to `module:attribute` within this package and the short help. A plural is
    accepted for the singular.
    """

    def __init__(
        self, *arguments: Any, commands_by_name: Mapping[str, tuple[str, str]], **attributes: Any
    ) -> None:
        super().__init__(*arguments, global_hidden=False, **attributes)
        self.commands_by_name = commands_by_name

    def list_commands(self, context: click.Context) -> list[str]:
        """The names in the order they are written down: what a newcomer needs comes first."""
        return list(self.commands_by_name)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        known = self.commands_by_name.get(name) or self.commands_by_name.get(name.removesuffix("s"))
        if known is None:
            return None
        module, attribute = known[0].split(":")
        command = getattr(import_module(f"lakewarden.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, short_help) for name, (_, short_help) in self.commands_by_name.items()]
            )

    def invoke(self, context: click.Context) -> Any:
        """Run the command; a reader that went away (`| head`) ends it quietly."""
        try:
            result = super().invoke(context)
            sys.stdout.flush()
        except BrokenPipeError:
            # Else the interpreter would fail once more when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            context.exit(0)
        return result


def write_example(formatter: click.HelpFormatter, example: str) -> None:
    """Write the example as it is typed, never wrapped."""
    formatter.write_paragraph()
    formatter.write_text("Example:")
    formatter.write("".join(f"  {line}\n" for line in example.splitlines()))

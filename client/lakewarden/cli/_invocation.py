"""One run of the command line: its global options, the client it makes from them, and what it prints where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from lakewarden.cli._terminal import is_interactive

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from lakewarden._client import Client

OUTPUT_FORMATS = ("table", "json", "yaml", "jsonl", "name")


@dataclass
class Invocation:
    """The global options (None where not given) and what commands do with them."""

    endpoint: str | None = None
    token: str | None = field(default=None, repr=False)
    workspace: str | None = None
    profile: str | None = None
    output: str = "table"
    timeout: float | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    insecure: bool = False
    quiet: bool = False

    def open_client(self, *, token: str | None = None) -> Client:
        """Make the client, closed when the command ends. `token` wins over everything else."""
        from lakewarden._config import DEFAULT_TIMEOUT_SECONDS, silence_grpc

        silence_grpc()
        from lakewarden._client import Client

        client = Client(
            self.endpoint,
            self.token if token is None else token,
            self.workspace,
            profile=self.profile,
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
            insecure=self.insecure,
            timeout_seconds=self.timeout or DEFAULT_TIMEOUT_SECONDS,
        )
        click.get_current_context().call_on_close(client.close)
        return client

    @property
    def is_brief(self) -> bool:
        """Whether the output shows only the main fields, so that the rest need not be fetched."""
        return self.output in ("table", "name")

    def show(self, record: Message | Mapping[str, Any], *, name: str = "full_name") -> None:
        """Print one object; `name` is the field that `-o name` prints."""
        from lakewarden.cli import _output

        _output.write_record(_plain(record), output=self.output, name=name)

    def show_all(
        self,
        records: Iterable[Message | Mapping[str, Any]],
        columns: Sequence[str],
        *,
        name: str = "full_name",
    ) -> None:
        """Print many objects; `columns` are the fields a table shows."""
        from lakewarden.cli import _output

        _output.write_records((_plain(record) for record in records), columns, output=self.output, name=name)

    def note(self, text: str) -> None:
        """Say something about what happened, on stderr, unless quiet."""
        if not self.quiet:
            click.echo(text, err=True)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something that cannot be undone; without a terminal only `--yes` will do."""
        if yes:
            return
        if not is_interactive():
            raise click.UsageError(f"{question} There is no terminal to ask on: say --yes.")
        click.confirm(question, abort=True, err=True)


def _plain(record: Message | Mapping[str, Any]) -> dict[str, Any]:
    """The record as plain data."""
    if isinstance(record, Mapping):
        return dict(record)
    from lakewarden.cli._plain import to_plain

    return to_plain(record)


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)

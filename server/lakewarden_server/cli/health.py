"""`lakewarden-server health`: what a container's health check runs every few seconds, so it imports next to nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lakewarden_server.processes import EXIT_FAILED
from lakewarden_server.rpc.probe import ask_health


@click.command()
@click.option("--endpoint", default="127.0.0.1:50051", show_default=True, help="Server to ask.")
@click.option(
    "--ca-file", type=click.Path(path_type=Path, exists=True), help="Ask over TLS, trusting this PEM file."
)
@click.option(
    "--cert-file", type=click.Path(path_type=Path, exists=True), help="PEM client certificate to show."
)
@click.option("--key-file", type=click.Path(path_type=Path, exists=True), help="PEM key of that certificate.")
def health(endpoint: str, ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> None:
    """Ask a running server whether it serves; exit 1 when it does not.

    \b
    Example:
      lakewarden-server health --endpoint 127.0.0.1:50051
    """
    if bool(cert_file) != bool(key_file) or (cert_file and not ca_file):
        raise click.UsageError("--cert-file, --key-file and --ca-file belong together.")
    status = ask_health(endpoint, ca_file, cert_file, key_file)
    click.echo(status)
    sys.exit(0 if status == "SERVING" else EXIT_FAILED)

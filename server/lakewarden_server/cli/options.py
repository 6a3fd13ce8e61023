"""Options that several commands of `lakewarden-server` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., object])


def data_options(command: Command) -> Command:
    """Where database and key file are."""
    for option in (
        click.option("--key-file", type=click.Path(path_type=Path), help="Key file.  [LAKEWARDEN_KEY_FILE]"),
        click.option("--database-url", help="sqlite:///FILE or postgresql://…  [LAKEWARDEN_DATABASE_URL]"),
        click.option("--data-dir", "data_directory", type=click.Path(path_type=Path), help="Directory of the SQLite file and the key.  [LAKEWARDEN_DATA_DIR]"),
    ):  # fmt: skip
        command = option(command)
    return command

"""The command line `lakewarden`. Everything is imported on use, so that `--help` stays quick."""

from __future__ import annotations

from lakewarden.cli._application import main

__all__ = ["main"]

"""Directories of this machine that hold the files of volumes: which volume a path lies in, and whether the path may be opened.

A path is compared as it is written, by whole segments; whatever two readers could take for two places is no path here. Only volumes:
nothing else lies where a volume's files are, while files of an external location may be those of a table.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TypeAlias

import duckdb
from lakewarden._duckdb_access import StatementRefused
from lakewarden._duckdb_binder import check_governable

VolumeMap: TypeAlias = Mapping[str, str] | Mapping[Path, str]
"""Directory of this machine -> full name of the volume whose files lie there."""
PATH_LENGTH_MAX = 1_024
_SEGMENT = r"/[A-Za-z0-9_](?:[A-Za-z0-9_.=+@, -]*[A-Za-z0-9_=+@-])?"
"""One level: no glob, no `..`, nothing hidden, nothing encoded, no blank or dot at the end."""
_PATH = re.compile(rf"(?:{_SEGMENT})+")
_OWN_DIRECTORIES = ("temp_directory", "secret_directory", "extension_directory")
"""Settings that name directories in which DuckDB keeps files of its own."""


@dataclass(frozen=True)
class Place:
    """A file's path, the full name of the volume it lies in, and the directory of that."""

    path: str
    volume: str
    directory: str

    @property
    def below(self) -> str:
        """The path inside of the volume."""
        return self.path[len(self.directory) + 1 :]


class Volumes:
    """The volumes whose files a governed database reads and writes, by real directory."""

    def __init__(self, volume_map: VolumeMap) -> None:
        """Raises ValueError for what is no directory or no volume, and for directories that share anything."""
        self._by_directory = {_directory(given): name for given, name in volume_map.items()}
        names = list(self._by_directory.values())
        for name in names:
            _check_volume(name)
        shared = any(_inside(*pair) or _inside(*reversed(pair)) for pair in combinations(self.directories, 2))
        if (
            shared
            or len(self._by_directory) < len(volume_map)
            or len(set(map(str.casefold, names))) < len(names)
        ):
            raise ValueError("volume_map must give every volume a directory of its own, none inside another")

    @property
    def directories(self) -> tuple[str, ...]:
        """The real paths of the directories."""
        return tuple(self._by_directory)

    def check_apart(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Raises ValueError where DuckDB keeps files of its own in one of them: whoever may write there could change those."""
        databases = connection.execute(
            "SELECT path FROM duckdb_databases() WHERE path IS NOT NULL"
        ).fetchall()
        settings = connection.execute(
            "SELECT value FROM duckdb_settings() WHERE list_contains($1, name) AND value <> ''",
            [_OWN_DIRECTORIES],
        ).fetchall()
        for (own,) in (*databases, *settings):
            real = os.path.realpath(own)
            if any(_inside(real, directory) or _inside(directory, real) for directory in self.directories):
                raise ValueError(f"DuckDB keeps files of its own where a volume lies: {own}")

    def place(self, path: str) -> Place:
        """The volume that covers a path, which need not be there. Raises StatementRefused."""
        if len(path) > PATH_LENGTH_MAX or _PATH.fullmatch(path) is None:
            raise StatementRefused(
                "a file is named by its whole path, such as '/srv/files/orders.csv': letters, digits and _ . = + @ , -,"
                " no pattern, no variable, no '..' and no other system"
            )
        for directory, volume in self._by_directory.items():
            if path.startswith(f"{directory}/"):
                return Place(path, volume, directory)
        raise StatementRefused(f"no volume of this connection covers {path}; see volume_map")


def check_file(place: Place, *, written: bool) -> None:
    """Raises StatementRefused unless the path leads, by no symbolic link, to an ordinary file, or to none yet where it is `written`.

    It looks at the disk, so it is asked after the answer: what lies in a volume is told to those who may use it.
    """
    if os.path.realpath(place.path) != place.path:
        raise StatementRefused(f"{place.path} leads over a symbolic link")
    if written and os.path.lexists(_while_written(place.path)):
        raise StatementRefused(f"{_while_written(place.path)} is in the way: DuckDB writes there first")
    if not (os.path.isfile(place.path) or (written and not os.path.lexists(place.path))):
        missing = "" if os.path.lexists(place.path) else "does not exist; there "
        raise StatementRefused(f"{place.path} {missing}must be an ordinary file")


@contextmanager
def unfinished_removed(written: Place | None) -> Iterator[None]:
    """Removes what DuckDB leaves of a file when writing it fails; `check_file` has seen that nothing was there before."""
    try:
        yield
    except BaseException:
        if written is not None:
            with suppress(OSError):
                os.unlink(_while_written(written.path))
        raise


def _while_written(path: str) -> str:
    """Where DuckDB has a file until all of it is written; it follows a link there."""
    directory, _, name = path.rpartition("/")
    return f"{directory}/tmp_{name}"


def _directory(given: str | Path) -> str:
    real = os.path.realpath(given)
    if not os.path.isdir(real) or _PATH.fullmatch(real) is None:
        raise ValueError(
            f"volume_map: {os.fspath(given)} must be a directory that exists, with a path of letters, digits and _ . = + @ , -"
        )
    return real


def _check_volume(name: str) -> None:
    parts = tuple(name.split("."))
    try:
        check_governable(parts)
    except StatementRefused:
        parts = ()
    if len(parts) != 3:
        raise ValueError(f"{name!r} is not the full name of a volume, such as main.sales.files")


def _inside(path: str, directory: str) -> bool:
    """Without regard to case, as some file systems compare."""
    return f"{path}/".casefold().startswith(f"{directory}/".casefold())

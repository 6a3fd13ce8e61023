"""Where the repository's files are, for the tests that look at the house itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = ("client/lakewarden", "policies/lakewarden_policy", "server/lakewarden_server")
GENERATED = ROOT / "client/lakewarden/v1"
_FOLDERS = (".ci", "bench", "client", "docker", "docs", "policies", "protos", "server", "tests")


def kept_files() -> Iterator[Path]:
    """Every file that belongs to the repository, without what tools leave behind."""
    yield from (path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith(".coverage"))
    for folder in _FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def written_modules(*folders: str) -> list[Path]:
    """The Python files people wrote in the given folders, or in the packages when none is given."""
    found = [path for folder in folders or CODE for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if GENERATED not in path.parents]


def named(path: Path) -> str:
    """The path as the repository has it."""
    return path.relative_to(ROOT).as_posix()

"""The distribution as somebody who installs it gets it: a thin client alone, with the server's files waiting for its extra."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

from house.dockerfiles import read
from house.repository import CODE, ROOT

pytestmark = pytest.mark.timeout(600)

SERVER_ONLY = (
    "sqlalchemy",
    "alembic",
    "casbin",
    "sqlglot",
    "pyarrow",
    "psycopg",
    "duckdb",
    "grpc_reflection",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the repository the way an installer builds it."""
    directory = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", directory, ROOT)
    (built,) = directory.glob("lakewarden-*.whl")
    return built


@pytest.fixture(scope="module")
def client_only(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of a fresh environment in which the wheel is installed without any extra."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=False)
    scripts = environment / "bin"
    _run(sys.executable, "-m", "pip", "--python", scripts / "python", "install", "--quiet", wheel)
    return scripts


def test_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        path.relative_to((ROOT / folder).parent).as_posix() for folder in CODE for path in _kept(folder)
    }
    assert not wanted - held
    for needed in (
        "lakewarden/py.typed",
        "lakewarden/v1/tables_pb2.py",
        "lakewarden_policy/model.conf",
        "lakewarden_policy/privileges.csv",
        "lakewarden_policy/operations.csv",
        "lakewarden_policy/permission_levels.csv",
        "lakewarden_server/storage/migrations/versions/v0001_first_schema.py",
    ):
        assert needed in held


def test_wheel_holds_nothing_else(wheel: Path) -> None:
    folders = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    packages = {Path(folder).name for folder in CODE}
    assert folders - packages == {"lakewarden-0.1.0.dist-info"}


def test_image_builds_the_same_wheel_from_what_it_copies(wheel: Path, tmp_path: Path) -> None:
    """Builds from the paths the Dockerfile copies into its first stage, and asks for the extras as it does."""
    copied = [found.words for found in read(ROOT / "docker/Dockerfile") if found.name == "COPY"]
    source = tmp_path / "source"
    source.mkdir()
    for *paths, target in copied:
        for path in (ROOT / path for path in paths if not path.startswith(("/", "--", "docker/"))):
            if path.is_dir():
                shutil.copytree(path, source / target)
            else:
                shutil.copy(path, source / target)
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, source)
    (built,) = tmp_path.glob("lakewarden-*.whl")
    assert set(zipfile.ZipFile(built).namelist()) == set(zipfile.ZipFile(wheel).namelist())
    _run(sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", f"{built}[server,postgres]")


def test_metadata_has_the_documented_extras_and_the_license(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    metadata = Parser().parsestr(archive.read("lakewarden-0.1.0.dist-info/METADATA").decode())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(metadata.get_all("Provides-Extra") or ()) == set(extras)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Apache License" in archive.read("lakewarden-0.1.0.dist-info/licenses/LICENSE").decode()


def test_client_alone_installs_no_server_dependency(client_only: Path) -> None:
    program = f"import importlib.util as u; print([n for n in {SERVER_ONLY} if u.find_spec(n)])"
    assert _run(client_only / "python", "-c", program) == "[]\n"


def test_client_alone_imports_and_connects_to_nothing(client_only: Path) -> None:
    program = "from lakewarden import Client; c = Client('localhost:1', 't', 'w'); c.catalogs, c.grants; print('ok')"
    assert _run(client_only / "python", "-W", "error", "-c", program) == "ok\n"


def test_command_line_of_the_client_alone_answers(client_only: Path) -> None:
    assert _run(client_only / "lakewarden", "--help").startswith("Usage: lakewarden ")
    assert _run(client_only / "lakewarden", "table", "create", "--help").startswith("Usage: lakewarden table")


def test_client_alone_validates_governance_files(client_only: Path, tmp_path: Path) -> None:
    """Names and privileges are judged by the policy's own files, which are read without the engine."""
    (tmp_path / "a.toml").write_text('[[catalog]]\nfull_name = "main"\n')
    _run(client_only / "lakewarden", "validate", tmp_path / "a.toml")
    (tmp_path / "b.toml").write_text('[[catalog]]\nfull_name = "a b"\n')
    done = subprocess.run(
        [client_only / "lakewarden", "validate", tmp_path / "b.toml"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "b.toml:2: The name 'a b' holds U+0020" in done.stderr


def test_server_without_its_extra_says_what_to_install(client_only: Path) -> None:
    done = subprocess.run([client_only / "lakewarden-server", "serve"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'lakewarden[server]'" in done.stderr
    assert "Traceback" not in done.stderr


def _kept(folder: str) -> Iterator[Path]:
    for path in (ROOT / folder).rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def _run(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout

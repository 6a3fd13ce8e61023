"""A real `lakewarden-server serve --http` process, what its engine and its admin made there, and the SDK's interpreter."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from house.environments import python_with
from lakewarden import Client

REQUIREMENTS = Path(__file__).with_name("sdk-requirements.txt")
EXECUTABLE = Path(sys.executable).with_name("lakewarden-server")
ADMIN = "ada@example.com"
WORKSPACE = "analytics"


class Process(NamedTuple):
    """Where the server listens, and a lasting token of its admin."""

    endpoint: str
    http_url: str
    token: str


@pytest.fixture(scope="session")
def sdk():
    return python_with(REQUIREMENTS)


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    home = tmp_path_factory.mktemp("served")
    environment = {"LAKEWARDEN_DATA_DIR": str(home), "PATH": os.environ["PATH"]}
    subprocess.run([EXECUTABLE, "init", "--admin", ADMIN], env=environment, check=True, capture_output=True)
    running = subprocess.Popen(
        [EXECUTABLE, "serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"],
        env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        endpoint, http = (_address(running, said) for said in ("listens on", "over HTTP on"))
        first = (home / "bootstrap-token").read_text().strip()
        with Client(endpoint, token=first, workspace="") as client:
            token = client.tokens.create(lifetime_seconds=30 * 86_400).token_value
        with Client(endpoint, token=token, workspace="") as client:
            client.metastores.create("europe")
            client.workspaces.create(WORKSPACE, metastore="europe")
        yield Process(endpoint, f"http://{http}", token)
    finally:
        running.terminate()
        running.communicate(timeout=60)


@pytest.fixture(scope="module")
def admin(process):
    """The admin over gRPC, in a workspace with a job, a cluster and a folder, as an engine states them."""
    with Client(process.endpoint, token=process.token, workspace=WORKSPACE) as client:
        for person in ("bob@example.com", "eve@example.com"):
            client.users.create(person)
        client.grants.grant("USER", "workspace", WORKSPACE, "bob@example.com")
        client.workspace_objects.create("job", "620")
        client.workspace_objects.create("cluster", "0923-164208-meows279")
        client.workspace_objects.create("passwords", "passwords")
        client.workspace_objects.create("directory", "17")
        client.workspace_objects.create("notebook", "18", parent="17")
        yield client


def _address(running, said):
    line = next(line for line in running.stderr if said in line)
    return re.search(r"on (\S+:\d+)", line).group(1)

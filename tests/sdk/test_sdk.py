"""The unmodified Databricks SDK, in an environment of its own, does with a served Lakewarden what its users do with it."""

import ast
import json
import os
import subprocess
from pathlib import Path

import pytest

from house.environments import packages_of
from house.test_identity_document import OF_THE_SDK, blocks
from lakewarden import Client
from sdk.conftest import WORKSPACE

PROGRAM = Path(__file__).with_name("program.py")
SCENARIOS = [
    statement.name
    for statement in ast.parse(PROGRAM.read_text()).body
    if isinstance(statement, ast.FunctionDef) and not statement.name.startswith("_")
]


@pytest.fixture(scope="module")
def environment(process, admin):
    """What the program knows: where the server is, and whose tokens it has."""
    persons = {name: _token_of(admin, process, f"{name.lower()}@example.com") for name in ("BOB", "EVE")}
    return {
        "PATH": os.environ["PATH"], "HOME": "/nonexistent",
        "HOST": process.http_url, "TOKEN": process.token, "WORKSPACE": WORKSPACE,
        **persons,
    }  # fmt: skip


@pytest.fixture(scope="module")
def told(sdk, environment):
    """What the program says went wrong in each scenario, all of them in one process."""
    done = subprocess.run(
        [sdk, "-I", PROGRAM, *SCENARIOS], env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_sdk_finds_what_it_expects(scenario, told):
    assert told[scenario] == "", told[scenario]


def test_program_of_the_documentation_works_as_shown(sdk, process, admin):
    (program,) = (block for block in blocks("python") if OF_THE_SDK in block)
    environment = {
        "HOME": "/nonexistent", "DATABRICKS_HOST": process.http_url,
        "DATABRICKS_TOKEN": process.token, "DATABRICKS_WORKSPACE_ID": WORKSPACE,
    }  # fmt: skip
    done = subprocess.run(
        [sdk, "-I", "-c", program], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_the_environment_has_the_package_as_it_was_published_and_nothing_of_ours(sdk):
    shown = packages_of(sdk)
    assert "databricks-sdk" in shown
    assert "lakewarden" not in shown


def _token_of(admin, process, person):
    """What a person gets for the one-time token an admin hands out."""
    one_time = admin.tokens.create(principal=person).token_value
    with Client(process.endpoint, token=one_time, workspace="") as client:
        return client.tokens.create().token_value

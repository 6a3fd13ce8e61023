"""What can be known of the image without a container engine: its files agree with the repository, and its commands run."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from house.dockerfiles import Instruction, read
from house.listening import until_it_listens
from house.repository import ROOT
from lakewarden_server.storage.migrations import latest_revision

DOCKER = ROOT / "docker"
STOP_SECONDS = 30.0


class _ComposeLoader(yaml.SafeLoader):
    """YAML with Compose's tag for a list that replaces another file's."""


_ComposeLoader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))


def compose(name: str) -> dict[str, Any]:
    loaded = yaml.load((DOCKER / name).read_text(), Loader=_ComposeLoader)
    assert isinstance(loaded, dict)
    return loaded


def dockerfile() -> list[Instruction]:
    return list(read(DOCKER / "Dockerfile"))


def arguments_of(name: str) -> list[list[str]]:
    return [instruction.words for instruction in dockerfile() if instruction.name == name]


def test_reader_refuses_what_is_no_instruction(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM a\nCOPPY b c\n")
    with pytest.raises(ValueError, match="COPPY"):
        list(read(bad))


def test_every_copied_path_exists_and_is_sent_to_the_builder() -> None:
    sent = {line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().split() if line[0] == "!"}
    copied = {path for words in arguments_of("COPY") if words[0][:7] != "--from=" for path in words[:-1]}
    assert copied
    assert copied == sent
    assert not [path for path in copied if not (ROOT / path).exists()]


def test_image_has_two_stages_and_ends_as_a_numbered_user_that_is_not_root() -> None:
    names = [instruction.name for instruction in dockerfile()]
    assert names.count("FROM") == 2
    assert arguments_of("USER") == [["10001:10001"]]
    assert names.index("USER") > max(at for at, name in enumerate(names) if name in {"RUN", "COPY"})


def test_installed_extras_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r'lakewarden-\*\.whl\)\[([a-z,]+)\]"', (DOCKER / "Dockerfile").read_text())
    assert named == ["server,postgres,metrics,otel,scim"]
    assert set(named[0].split(",")) <= set(extras)


def test_image_listens_checks_and_exposes_one_port() -> None:
    settings = dict(pair.split("=", 1) for words in arguments_of("ENV") for pair in words)
    port = settings["LAKEWARDEN_LISTEN"].rpartition(":")[2]
    assert arguments_of("EXPOSE") == [[port]]
    (health,) = [instruction.arguments for instruction in dockerfile() if instruction.name == "HEALTHCHECK"]
    assert f'"127.0.0.1:{port}"' in health


def test_entrypoint_of_the_image_is_the_script_and_can_be_executed() -> None:
    (installed,) = [words[-1] for words in arguments_of("COPY") if words[0] == "docker/entrypoint.sh"]
    assert arguments_of("ENTRYPOINT") == [[Path(installed).name]]
    assert os.access(DOCKER / "entrypoint.sh", os.X_OK)


@pytest.mark.parametrize("name", ["compose.yaml", "compose.tls.yaml"])
def test_compose_refers_only_to_what_it_defines(name: str) -> None:
    base, files = compose("compose.yaml"), compose(name)
    secrets_defined = {**base.get("secrets", {}), **files.get("secrets", {})}
    for service in files["services"].values():
        assert set(service.get("secrets", [])) <= set(secrets_defined)
        assert {mount.split(":")[0] for mount in service.get("volumes", [])} <= set(base["volumes"])
        assert set(service.get("networks", [])) <= set(base["networks"])
        assert set(service.get("depends_on", {})) <= set(base["services"])
        mounted = {value for value in _strings(service) if value.startswith("/run/secrets/")}
        assert {Path(value).name for value in mounted} <= set(service.get("secrets", []))
        build = service.get("build")
        assert build is None or (DOCKER / build["context"] / build["dockerfile"]).is_file()


def test_compose_publishes_plaintext_on_loopback_only() -> None:
    server = compose("compose.yaml")["services"]["server"]
    (port,) = [words[0] for words in arguments_of("EXPOSE")]
    assert server["environment"]["LAKEWARDEN_ALLOW_PLAINTEXT"] == "true"
    assert server["ports"] == [f"127.0.0.1:{port}:{port}"]
    over_tls = compose("compose.tls.yaml")["services"]["server"]
    assert over_tls["environment"]["LAKEWARDEN_ALLOW_PLAINTEXT"] == "false"
    assert over_tls["ports"] == [f"{port}:{port}"]


def test_compose_sets_only_variables_that_the_server_or_the_entrypoint_reads() -> None:
    known = (ROOT / "server/lakewarden_server/config.py").read_text()
    script = (DOCKER / "entrypoint.sh").read_text()
    for name in ("compose.yaml", "compose.tls.yaml"):
        for variable in compose(name)["services"]["server"]["environment"]:
            assert f'"{variable.removeprefix("LAKEWARDEN_")}"' in known or variable in script, variable


def test_secrets_of_compose_are_not_kept_in_the_repository() -> None:
    files = [secret["file"] for secret in compose("compose.yaml")["secrets"].values()]
    assert {Path(file).parent.name for file in files} == {"secrets"}
    assert (DOCKER / ".gitignore").read_text().split() == ["secrets/"]


# The one over TLS migrates and serves SQLite too.
@pytest.mark.parametrize("dialect", [pytest.param("sqlite", marks=pytest.mark.slow), "postgresql"])
def test_entrypoint_migrates_serves_and_stops_on_sigterm(
    dialect: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    environment = _environment(tmp_path)
    if dialect == "postgresql":
        environment["LAKEWARDEN_DATABASE_URL"] = request.getfixturevalue("postgresql_server").create()
    with _container(environment) as (process, endpoint):
        until_it_listens(endpoint, process)
        assert _health(endpoint).returncode == 0
        first = _entrypoint(environment, "init", "--admin", "ada@example.com")
        assert first.returncode == 0, first.stderr
        assert (tmp_path / "data/bootstrap-token").read_text().startswith("lwboot_")
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=STOP_SECONDS)[0]
    assert process.returncode == 0, output
    assert f"schema {latest_revision()} (was empty)" in output
    assert (tmp_path / "run/lakewarden.key").stat().st_mode & 0o777 == 0o400


def test_entrypoint_serves_over_tls(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    environment = _environment(tmp_path)
    environment |= {
        "LAKEWARDEN_TLS_CERT_FILE": str(certificate),
        "LAKEWARDEN_TLS_KEY_FILE": str(key),
        "LAKEWARDEN_ALLOW_PLAINTEXT": "false",
    }
    with _container(environment) as (process, endpoint):
        localhost = endpoint.replace("127.0.0.1", "localhost")
        until_it_listens(endpoint, process)
        assert _health(localhost, "--ca-file", str(certificate)).returncode == 0
        assert _health(endpoint).stdout.strip() == "UNREACHABLE"
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 0


def test_entrypoint_refuses_plaintext_for_others_unless_told(tmp_path: Path) -> None:
    environment = {**_environment(tmp_path), "LAKEWARDEN_ALLOW_PLAINTEXT": "false"}
    done = _entrypoint({**environment, "LAKEWARDEN_LISTEN": "0.0.0.0:0"})
    assert done.returncode == 1
    assert "plaintext on 0.0.0.0:0 would show tokens" in done.stderr


def test_entrypoint_hands_the_database_password_over_without_the_url(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    shown = tmp_path / "bin/lakewarden-server"
    shown.parent.mkdir()
    shown.write_text('#!/bin/sh\necho "$PGPASSWORD|$*"\n')
    shown.chmod(0o755)
    environment = {
        "PATH": f"{shown.parent}:{os.environ['PATH']}",
        "LAKEWARDEN_DATABASE_PASSWORD_FILE": str(password),
    }
    assert _entrypoint(environment, "doctor").stdout == "correct horse|doctor\n"


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
    elif isinstance(value, str):
        yield value


def _environment(directory: Path) -> dict[str, str]:
    """What compose.yaml sets, with paths and a port of this test."""
    secret = directory / "lakewarden_key"
    secret.write_text(secrets.token_hex(32) + "\n")
    secret.chmod(0o444)
    (directory / "run").mkdir()
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LAKEWARDEN_DATA_DIR": str(directory / "data"),
        "LAKEWARDEN_LISTEN": f"0.0.0.0:{_free_port()}",
        "LAKEWARDEN_KEY_SECRET": str(secret),
        "LAKEWARDEN_KEY_FILE": str(directory / "run/lakewarden.key"),
        "LAKEWARDEN_ALLOW_PLAINTEXT": "true",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _container(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The entrypoint as the image's main process; killed at the end if it still runs."""
    process = subprocess.Popen(
        [DOCKER / "entrypoint.sh"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process, environment["LAKEWARDEN_LISTEN"].replace("0.0.0.0", "127.0.0.1")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _entrypoint(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DOCKER / "entrypoint.sh", *words], env=environment, capture_output=True, text=True, timeout=60
    )


def _health(endpoint: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).parent / "lakewarden-server", "health", "--endpoint", endpoint, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def _certificate(directory: Path) -> tuple[Path, Path]:
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run(["openssl", *options.split(), *names], capture_output=True, check=True)
    return certificate, key

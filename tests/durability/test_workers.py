"""`serve --workers`: real processes on one port, killed, replaced and stopped while calls go on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from durability.groups import (
    SERVE,
    WORKERS,
    Group,
    connections,
    cores_of,
    impatient,
    is_running,
    load_on,
    until,
    workers_of,
)
from durability.processes import START_SECONDS_MAX, WORKSPACE, Installation
from lakewarden import Client
from lakewarden_server.app import App
from lakewarden_server.config import SettingsError, read_settings
from lakewarden_server.core.addresses import AddressUnavailable
from lakewarden_server.supervisor import Supervisor, reserve
from lakewarden_server.testing import serve

pytestmark = pytest.mark.timeout(240)
ROUNDS = 40
ROUNDS_LONG = 200
CONNECTIONS_MAX = 64
CALLS = 100
VICTIM = "victim@example.com"
# What a worker does when it is killed or replaced is the same beside any database.
ONE_DIALECT = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def group(request: pytest.FixtureRequest, install_shared: Callable[[str], Installation]) -> Iterator[Group]:
    """A running group of workers; each test leaves all of them serving."""
    installation = install_shared(request.param)
    with installation.serve(command=SERVE) as server:
        yield Group(installation, server)


@pytest.fixture(scope="module")
def victim(group: Group) -> str:
    """The token of a user who may reach a table but not read it."""
    with group.installation.client(group.server) as admin:
        admin.catalogs.create("main")
        admin.schemas.create("main.sales")
        admin.tables.create("main.sales.orders", [{"name": "id", "type_text": "BIGINT"}])
        admin.users.create(VICTIM)
        admin.grants.grant("USER", "workspace", WORKSPACE, VICTIM)
        admin.grants.grant("USE CATALOG", "catalog", "main", VICTIM)
        admin.grants.grant("USE SCHEMA", "schema", "main.sales", VICTIM)
        one_time = admin.tokens.create(principal=VICTIM).token_value
    with Client(group.server.endpoint, token=one_time) as first:
        return first.tokens.create().token_value


@pytest.mark.parametrize("group", ONE_DIALECT, indirect=True, scope="module")
def test_a_killed_worker_costs_no_call_more_than_a_retry_and_comes_back(group: Group) -> None:
    server = group.server
    with load_on(group.installation, server) as load:
        for number in range(WORKERS):
            load.more(CALLS)
            killed = workers_of(server)[number]
            os.kill(killed, signal.SIGKILL)
            with load.gently():
                until(lambda: workers_of(server)[number] != killed, server.output)  # noqa: B023 - called here
            assert f"worker {number} (process {killed}) was killed by signal 9" in server.output
            load.more(CALLS)
        until(lambda: all(map(is_running, workers_of(server).values())), server.output)
    assert load.answered >= 2 * WORKERS * CALLS


@pytest.mark.parametrize("group", ONE_DIALECT, indirect=True, scope="module")
def test_a_rolling_restart_replaces_every_worker_and_costs_no_call_more_than_a_retry(group: Group) -> None:
    server = group.server
    told = len(server.output)
    with load_on(group.installation, server) as load:
        load.more(CALLS)
        before = workers_of(server)
        server.signal(signal.SIGHUP)
        with load.gently():
            until(lambda: not set(before.values()) & set(workers_of(server).values()), server.output)
        until(lambda: not any(map(is_running, before.values())), server.output)
        load.more(CALLS)
        assert "killed" not in server.output[told:]
        assert list(map(is_running, workers_of(server).values())) == [True] * WORKERS
    assert load.answered >= 2 * CALLS


@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(ROUNDS_LONG, marks=pytest.mark.slow)])
def test_a_revoke_one_worker_acknowledged_is_denied_by_all_at_once(
    group: Group, victim: str, rounds: int
) -> None:
    server, installation = group.server, group.installation
    port = int(server.endpoint.rpartition(":")[2])
    with ExitStack() as stack:

        def connect(token: str) -> Client:
            client = Client(server.endpoint, token=token, workspace=WORKSPACE, retries=0)
            return stack.enter_context(client)

        admins = [connect(installation.token) for _ in range(WORKERS)]
        askers: list[Client] = []
        while not all(connections(worker, port) for worker in workers_of(server).values()) or len(askers) < 4:
            assert len(askers) < CONNECTIONS_MAX, "every connection went to one worker"
            askers.append(connect(victim))
            assert not askers[-1].authorization.check("SELECT", "table", "main.sales.orders")
        for number in range(rounds):
            admin = admins[number % WORKERS]
            admin.grants.grant("SELECT", "table", "main.sales.orders", VICTIM)
            assert [_may_read(asker) for asker in askers] == [True] * len(askers), number
            admin.grants.revoke("SELECT", "table", "main.sales.orders", VICTIM)
            assert [_may_read(asker) for asker in askers] == [False] * len(askers), number


@pytest.mark.parametrize("group", ["sqlite"], indirect=True, scope="module")
def test_each_worker_keeps_to_a_core_of_its_own(group: Group) -> None:
    allowed = os.sched_getaffinity(0)
    places = [cores_of(process) for process in workers_of(group.server).values()]
    with group.installation.serve(log_name="alone.log") as alone:
        places.append(cores_of(alone.process_id))
    for threads in places[:-1]:
        # The thread that watches the supervisor, that of pyarrow's allocator and those of numpy's linear algebra, which nothing
        # here uses, began before the worker was told its core.
        wandering = 2 + len(allowed) - 1
        assert sorted(map(len, threads))[:-wandering] == [1] * (len(threads) - wandering)
    used = [min(threads, key=len) for threads in places[:-1]]
    assert len(set(map(tuple, used))) == min(WORKERS, len(allowed))
    assert set(sorted(map(len, places[-1]))[:-wandering]) == {1}


@pytest.mark.parametrize("group", ["sqlite"], indirect=True, scope="module")
def test_a_port_that_somebody_has_is_refused(group: Group) -> None:
    with serve() as alone:
        for endpoint in (alone.endpoint, group.server.endpoint):
            with pytest.raises(AddressUnavailable, match="another server has it"):
                reserve(endpoint)
        another = App(replace(alone.app.settings, listen=group.server.endpoint))
        with pytest.raises(AddressUnavailable, match="another server has it"):
            another.start()
        another.stop()


def test_an_embedded_server_is_not_pinned() -> None:
    allowed = os.sched_getaffinity(0)
    with serve() as server:
        assert server.client().session.get().principal
        assert all(cores == allowed for cores in cores_of(os.getpid()))


def test_ctrl_c_for_the_whole_group_drains_and_exits_with_0(installed_once: Installation) -> None:
    with installed_once.serve(command=SERVE) as server:
        workers = workers_of(server).values()
        os.killpg(server.process_id, signal.SIGINT)
        assert server.wait() == 0, server.output
        assert not any(map(is_running, workers))


def test_a_second_signal_stops_at_once(installed_once: Installation) -> None:
    with installed_once.serve(command=SERVE) as server:
        frozen = workers_of(server)[0]
        os.kill(frozen, signal.SIGSTOP)
        server.signal(signal.SIGTERM)
        until(lambda: "stopping" in server.output, server.output)
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        assert time.monotonic() - begun < 5
        assert not is_running(frozen)


def test_workers_do_not_outlive_their_supervisor(installed_once: Installation) -> None:
    with installed_once.serve(command=SERVE) as server:
        workers = workers_of(server).values()
        os.kill(server.process_id, signal.SIGKILL)
        until(lambda: not any(map(is_running, workers)), "workers go on without a supervisor")


def test_workers_that_cannot_start_again_are_told_and_the_others_serve(installed_once: Installation) -> None:
    key, hidden = installed_once.directory / "lakewarden.key", installed_once.directory / "hidden"
    with installed_once.serve(command=impatient(BACKOFF_SECONDS_MAX=0.2)) as server:
        first = workers_of(server)
        key.rename(hidden)
        server.signal(signal.SIGHUP)
        until(lambda: "worker 0 is not replaced" in server.output, server.output)
        assert workers_of(server) == first
        os.kill(first[0], signal.SIGKILL)
        # The successor, and the first that was to take the place of the killed one.
        until(lambda: server.output.count("ended with code 1") > 1, server.output)
        with installed_once.client(server) as client:
            assert client.health() == "SERVING"
        hidden.rename(key)
        until(lambda: workers_of(server)[0] != first[0], server.output)
        assert workers_of(server)[1] == first[1]


def test_a_supervisor_gives_up_when_no_worker_can_serve(installed_once: Installation) -> None:
    with installed_once.serve(command=impatient(BACKOFF_SECONDS_MAX=0.1, FAILURES_MAX=1)) as server:
        (installed_once.directory / "lakewarden.key").rename(installed_once.directory / "hidden")
        for process in workers_of(server).values():
            os.kill(process, signal.SIGKILL)
        until(lambda: "giving up" in server.output, server.output)
        assert server.wait() == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"workers": 0}, "from 1 to 64"),
        ({"workers": -1}, "from 1 to 64"),
        ({"workers": 65}, "from 1 to 64"),
        ({"workers": 2, "metrics": "127.0.0.1:9464"}, "each tells its own port"),
        ({"http_workers": 1}, "need an address"),
        ({"http": "127.0.0.1:0", "http_workers": -1}, "from 0 to 64"),
    ],
)
def test_wrong_settings_are_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Supervisor(read_settings(options, environment={}), {}, verbose=False, tell=print)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("unix:/tmp/lakewarden.socket", "cannot share unix:/tmp/lakewarden.socket: .* one worker"),
        ("192.0.2.1:1", "no address of this machine"),
    ],
)
def test_addresses_that_workers_cannot_share_are_refused(address: str, says: str) -> None:
    with pytest.raises((SettingsError, AddressUnavailable), match=says):
        reserve(address)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--workers", "2", "--metrics", "127.0.0.1:9464"), "each tells its own port"),
        (("--http", "0.0.0.0:0", "--http-workers", "1"), "plaintext"),
        pytest.param(("--workers", "2", "--listen", "0.0.0.0:0"), "plaintext", marks=pytest.mark.slow),
    ],
)
def test_wrong_arguments_end_the_start(
    installed_once: Installation, options: tuple[str, ...], says: str
) -> None:
    answer = subprocess.run(
        [*installed_once.command(), *options], capture_output=True, text=True, timeout=START_SECONDS_MAX
    )
    assert answer.returncode == 1, answer.stderr
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr


def _may_read(client: Client) -> bool:
    return client.authorization.check("SELECT", "table", "main.sales.orders").allowed

"""OpenLineage over HTTP: the answers its clients go by, compressed bodies, limits, and who may."""

from __future__ import annotations

import gzip
import json
import select
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import httpx2
import pytest

from lakewarden_server.core.clock import monotonic
from lakewarden_server.http import connections
from lakewarden_server.http.openlineage import bodies, endpoints
from lakewarden_server.http.openlineage.bodies import BodyInvalid, decoded, split
from lakewarden_server.http.requests import BODY_BYTES_MAX, LARGE_BODIES_PER_CALLER_MAX, BodyTooLarge
from lakewarden_server.lineage import recorder
from lakewarden_server.lineage.events import Code, EventInvalid
from lakewarden_server.services.lineage import BATCH_EVENTS_MAX
from lakewarden_server.testing import WORKSPACE, serve
from lineage.corpus import event, ours, read
from lineage.lake import OURS, Lake, shown

ONE, MANY = "/api/v1/lineage", "/api/v1/lineage/batch"


@pytest.fixture(scope="module")
def server():
    with serve(http=True) as running:
        admin = running.client()
        running.client_as("airflow")
        admin.grants.grant("LINEAGE PRODUCER", "workspace", WORKSPACE, "airflow@example.com")
        yield running


def client_of(server, token, **headers):
    sent = {"Authorization": f"Bearer {token}", "Lakewarden-Workspace": WORKSPACE, **headers}
    return httpx2.Client(base_url=server.http_url, headers=sent, timeout=30)


@pytest.fixture(scope="module")
def http(server):
    """A scheduler that may tell of lineage."""
    with client_of(server, server.token_of("airflow")) as client:
        yield client


def test_who_names_no_workspace_is_told_to(server):
    with client_of(server, server.token_of("airflow")) as http:
        del http.headers["Lakewarden-Workspace"]
        for path, body in ((ONE, event()), (MANY, array(event()))):
            answer = http.post(path, content=body)
            assert (answer.status_code, answer.json()["reason"]) == (400, "WORKSPACE_REQUIRED")
            assert "lakewarden-workspace" in answer.json()["message"]


def test_a_workspace_that_does_not_exist_is_denied_like_one_that_may_not_be_seen(server):
    with client_of(server, server.token_of("airflow"), **{"Lakewarden-Workspace": "nowhere"}) as http:
        answer = http.post(ONE, content=event())
    assert (answer.status_code, answer.json()["reason"]) == (403, "ACCESS_DENIED")


def array(*events: bytes) -> bytes:
    return b"[" + b",".join(events) + b"]"


def test_a_new_event_is_created_and_a_known_one_ok(http):
    body = event(run=1, inputs=["a"], outputs=["b"])
    first, again = http.post(ONE, content=body), http.post(ONE, content=body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["key"] == again.json()["key"]


def test_only_what_is_at_hosts_of_ones_own_is_a_table_of_ones_own():
    with serve(http=True, lineage_hosts=frozenset({"lake.example.com"})) as server:
        lake = Lake(server, ["s.orders", "s.report"])
        lake.admin.grants.grant("LINEAGE PRODUCER", "workspace", WORKSPACE, "admin@example.com")
        orders, report = ({"namespace": OURS, "name": f"main.s.{name}"} for name in ("orders", "report"))
        foreign = {**orders, "namespace": "unitycatalog://lake.example.org"}
        with client_of(server, server.admin_token) as http:
            for run, (source, target) in enumerate([(orders, report), (foreign, orders)]):
                body = event(run=run, inputs=[source], outputs=[target])
                assert http.post(ONE, content=body).status_code == 201
        lake.admin.lineage.record_sql("INSERT INTO main.s.orders SELECT * FROM main.s.report")
        labels, edges = shown(lake.admin.lineage.traverse("main.s.orders", direction="upstream", max_depth=1))
    assert labels == {"s.orders", "s.report", "unitycatalog://lake.example.org main.s.orders"}
    assert edges == {(other, "s.orders") for other in labels - {"s.orders"}}


def test_a_batch_without_fault_has_no_content(http):
    answer = http.post(MANY, content=array(*ours("airflow")))
    assert (answer.status_code, answer.content) == (204, b"")
    assert http.post(MANY, content=b"[]").status_code == 204


def test_a_batch_with_faults_says_which(http):
    events = [event(run=20 + number) for number in range(10)]
    for index in (0, 3, 4, 8):
        events[index] = b'{"run": {}}'
    answer = http.post(MANY, content=array(*events))
    assert answer.status_code == 200
    told = answer.json()
    assert told["status"] == "partial_success"
    assert told["summary"] == {
        "received": 10, "successful": 6, "failed": 4, "retriable": 0, "non_retriable": 4,
    }  # fmt: skip
    assert [(failed["index"], failed["retriable"]) for failed in told["failed_events"]] == [
        (index, False) for index in (0, 3, 4, 8)
    ]


def test_compressed_bodies_are_read(http):
    headers = {"Content-Encoding": "gzip"}
    assert http.post(ONE, content=gzip.compress(event(run=40)), headers=headers).status_code == 201
    many = gzip.compress(array(event(run=41), event(run=42)))
    assert http.post(MANY, content=many, headers=headers).status_code == 204


def test_a_small_body_that_becomes_a_large_one_is_refused(http):
    bomb = gzip.compress(b" " * (bodies.BODY_BYTES_MAX + 1))
    assert len(bomb) < 50_000
    answer = http.post(ONE, content=bomb, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["reason"]) == (413, "MESSAGE_TOO_LARGE")


@pytest.mark.parametrize(
    ("content", "encoding", "status", "reason"),
    [
        (b"{", "", 400, "EVENT_INVALID"),
        (b"not gzip", "gzip", 400, "EVENT_INVALID"),
        (gzip.compress(event())[:-9], "gzip", 400, "EVENT_INVALID"),
        (event(), "br", 415, "FIELD_INVALID"),
        (b'{"a": 1}', "", 400, "EVENT_INVALID"),
    ],
)
def test_what_is_no_event_is_refused_for_good(http, content, encoding, status, reason):
    answer = http.post(ONE, content=content, headers={"Content-Encoding": encoding} if encoding else {})
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.json()["message"]


def test_a_body_of_very_many_compressed_parts_is_refused_at_once(http):
    """What is left is copied for each part: a body of nothing but empty ones took a process for minutes."""
    parts = gzip.compress(b"") * (bodies.BODY_BYTES_MAX // 20)
    started = monotonic()
    answer = http.post(ONE, content=parts, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, monotonic() - started < 5) == (400, True)
    whole = gzip.compress(event(run=43))
    assert decoded(gzip.compress(b" ") * 255 + whole, "gzip") == b" " * 255 + event(run=43)


def test_of_an_array_no_more_is_read_than_a_call_takes(http):
    assert bodies.EVENTS_MAX == BATCH_EVENTS_MAX
    assert len(split(b"[" + b",".join([b"1"] * 1_000) + b"]")) == 1_000
    with pytest.raises(BodyInvalid):
        split(b"[" + b"1," * 1_000 + b"!")
    assert http.post(MANY, content=b"[" + b"1," * 4_000_000 + b"1]").status_code == 400


@pytest.mark.parametrize("content", [b"{}", b"[", b"[1,]", b"[1 2]", b"[1] 2", b"\xff", b"[" * 100_000])
def test_what_is_no_list_is_refused_for_good(http, content):
    assert http.post(MANY, content=content).status_code == 400


def test_strict_recording_is_asked_for_in_the_query(http):
    body = event(run=50, eventTime="2026-01-01T00:00:00")
    refused = http.post(f"{ONE}?strict=true", content=body)
    assert (refused.status_code, refused.json()["reason"]) == (400, "EVENT_INVALID")
    assert http.post(ONE, content=body).status_code == 201


def test_nobody_and_who_may_not_record_nothing(server):
    with client_of(server, "lwpat_none") as nobody:
        assert nobody.post(ONE, content=event(run=60)).status_code == 401
        assert nobody.post(MANY, content=b"{").status_code == 401
        assert nobody.post(ONE, content=b"{", headers={"Content-Encoding": "br"}).status_code == 401
    with client_of(server, server.token_of("bob")) as bob:
        answer = bob.post(ONE, content=event(run=60))
        assert (answer.status_code, answer.json()["reason"]) == (403, "PRIVILEGE_MISSING")
        assert bob.post(MANY, content=array(event(run=60))).status_code == 403
        # Who may not record learns nothing of what an event should look like.
        assert bob.post(ONE, content=b"{").status_code == 403
    with client_of(server, server.token_of("airflow"), **{"Lakewarden-Workspace": ""}) as lost:
        assert lost.post(ONE, content=event(run=60)).status_code == 400
    with client_of(server, server.token_of("airflow")) as http:
        assert http.post(ONE, content=event(run=60)).status_code == 201


def test_the_workspace_is_said_as_in_the_databricks_api_too(server):
    headers = {
        "Authorization": f"Bearer {server.token_of('airflow')}",
        "X-Databricks-Workspace-Id": WORKSPACE,
    }
    with httpx2.Client(base_url=server.http_url, headers=headers) as http:
        assert http.post(ONE, content=event(run=70)).status_code == 201


def test_too_much_at_once_is_answered_with_when_to_come_again(server, http, monkeypatch):
    monkeypatch.setattr(recorder.Recorder, "record", _overloaded)
    answer = http.post(ONE, content=event(run=80))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert http.post(MANY, content=array(event(run=80))).status_code == 503
    monkeypatch.undo()
    # The client comes again, and nothing is counted twice.
    assert [http.post(ONE, content=event(run=80)).status_code for _ in range(2)] == [201, 200]


def _overloaded(self, origin, received, **options):
    """The recorder of a server whose queue holds nothing."""
    small = recorder.Recorder(self._database, queue_events_max=0)
    return recorder_record(small, origin, received, **options)


recorder_record = recorder.Recorder.record


def test_concurrent_producers_are_all_answered(server):
    statuses = []

    def send(number):
        with client_of(server, server.token_of("airflow")) as http:
            statuses.append(http.post(ONE, content=event(run=100 + number)).status_code)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [201] * 16


def test_elements_of_a_list_are_kept_as_they_were_written():
    written = [b'{"a": 1.50, "b" :[1e400]}', b'{ "c":"\xc3\xa4" }', b"7"]
    assert split(b" [ " + b" , ".join(written) + b" ] ") == written
    assert [json.loads(each) for each in split(b"[1,2]")] == [1, 2]


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b" [ ] ", b"[1,2 ,3]", b'[{"a": "],[\\"}"}, {}]', b"[[1],[[2]]]", b"[NaN]", b"[1.50,-0,1e400]", b"[nul]",
        b'["\xc3\xa4", "\\ud800"]', b"[" * 500 + b"]" * 500, b"[1,]", b"[,1]", b"[1 2]", b"[1]]", b"[1", b"", b" ", b"{}", b"[\x00]",
        b'["\x01"]', b'["\\q"]', b"[01]", b'{"a": [1]}', b"\xef\xbb\xbf[1]", b'["\xed\xa0\x80"]',
        b"[" + b"1," * 1_000 + b"1]", b"[" + b"[]," * 999 + b"[]]",
    ],
)  # fmt: skip
def test_a_list_is_split_as_pythons_own_reader_splits_it(body, monkeypatch):
    def attempted():
        try:
            return split(body)
        except BodyInvalid as invalid:
            return str(invalid)

    fast = attempted()
    monkeypatch.setattr(bodies, "COMMAS_MAX", -1)
    assert fast == attempted()


def test_a_number_too_long_to_read_costs_its_event_and_not_the_list():
    long = b'{"a":' + b"9" * 5_000 + b"}"
    assert split(array(long, b"{}")) == [long, b"{}"]
    with pytest.raises(EventInvalid) as refused:
        read(long)
    assert refused.value.code is Code.JSON_INVALID


def test_members_of_a_gzip_body_are_read_one_after_another_within_the_limit():
    assert decoded(gzip.compress(b"a") + gzip.compress(b"b"), "gzip") == b"ab"
    half = gzip.compress(b" " * (bodies.BODY_BYTES_MAX // 2 + 1))
    with pytest.raises(BodyTooLarge):
        decoded(half + half, "gzip")
    with pytest.raises(BodyInvalid):
        decoded(gzip.compress(b"a") + b"tail", "gzip")


def test_the_paths_are_those_of_openlineages_clients():
    assert endpoints.PATH == ONE


@contextmanager
def large_bodies_of(server, name):
    """As many as one caller holds at once, which do not come to their end."""
    with ExitStack() as stack:
        for _ in range(LARGE_BODIES_PER_CALLER_MAX):
            stack.enter_context(begun(server, name, bodies.BODY_BYTES_MAX)).sendall(
                b" " * (BODY_BYTES_MAX + 200_000)
            )
        yield


def begun(server, name, length):
    """A connection on which a body is announced."""
    host, _, port = server.http_url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    head = f"POST {ONE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token_of(name)}\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def status_after_the_body(connection, length):
    """What who sends a whole body first reads then."""
    for start in range(0, length, 100_000):
        connection.sendall(b" " * min(100_000, length - start))
        # So that the answer is there long before the end.
        time.sleep(0.005)
    return int(connection.recv(12)[9:])


def test_who_sends_a_refused_body_to_its_end_reads_that_it_was_refused(server):
    """Else its client finds the connection broken, does not come again, and the events are lost."""
    with large_bodies_of(server, "dora"), begun(server, "dora", 3 * BODY_BYTES_MAX) as connection:
        assert status_after_the_body(connection, 3 * BODY_BYTES_MAX) == 503
        connection.sendall(b"GET /scim/v2/ServiceProviderConfig HTTP/1.1\r\nHost: x\r\n\r\n")
        while b"HTTP/1.1 200" not in connection.recv(10_000):
            pass
    too_much = bodies.BODY_BYTES_MAX + BODY_BYTES_MAX
    with begun(server, "dora", too_much) as connection:
        assert status_after_the_body(connection, too_much) == 413


def test_of_a_refused_body_not_everything_is_let_pass(server, monkeypatch):
    monkeypatch.setattr(connections, "PASSED_BYTES_MAX", BODY_BYTES_MAX // 2)
    with (
        large_bodies_of(server, "erin"),
        begun(server, "erin", 3 * BODY_BYTES_MAX) as connection,
        pytest.raises(ConnectionError),
    ):
        status_after_the_body(connection, 3 * BODY_BYTES_MAX)


def test_one_caller_holds_few_large_bodies_at_once_and_leaves_room_for_others(server):
    """Else whoever has a token holds 8 MB of this process on each of two hundred connections."""
    opened = [begun(server, "carol", bodies.BODY_BYTES_MAX) for _ in range(6)]
    refused = []
    for connection in opened:
        connection.sendall(b" " * (BODY_BYTES_MAX + 200_000))
        ready, _, _ = select.select([connection], [], [], 1)
        refused += [connection.recv(12) for connection in ready]
    assert refused == [b"HTTP/1.1 503"] * (6 - LARGE_BODIES_PER_CALLER_MAX)
    large = array(*[event(run=900 + number, job="j" * 3_000) for number in range(400)])
    assert len(large) > BODY_BYTES_MAX
    with client_of(server, server.token_of("airflow")) as http:
        assert http.post(MANY, content=large).status_code == 204
    for connection in opened:
        connection.close()
    give_up = monotonic() + 20
    with client_of(server, server.token_of("carol")) as carol:
        while carol.post(MANY, content=large).status_code != 403:
            assert monotonic() < give_up

"""What an operator sees: every call counted, traced and logged with its request id, and nothing that is nobody's business."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from google.rpc import code_pb2
from sqlalchemy import text

from durability.processes import EXECUTABLE, install
from house.repository import ROOT
from lakewarden import Client, LakewardenError
from lakewarden.v1 import sessions_pb2, sessions_pb2_grpc
from lakewarden_server.app import App
from lakewarden_server.authn.tokens import TokenKind, mint
from lakewarden_server.config import SettingsError, read_settings
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import Internal, Reason
from lakewarden_server.pipeline.decisions import PER_CALLER_PER_SECOND_MAX, QUEUE_MAX, DecisionLog
from lakewarden_server.storage import DecisionRecord
from lakewarden_server.testing import EmbeddedServer, declare_filled, serve
from observability.watching import Collector, collecting, exposition, lines, logged, samples, watched
from tls.authorities import Authority

CHECK = "lakewarden.v1.AuthorizationService/Check"
BATCH = "lakewarden.v1.AuthorizationService/BatchCheck"
CREATE = "lakewarden.v1.CatalogService/CreateCatalog"
TABLE = ("SELECT", "table", "main.sales.orders")
CANARY = "canary-5d1f0c"


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """A server with metrics and JSON logs."""
    with serve() as server:
        yield watched(server, metrics="127.0.0.1:0", log_format="json")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that OpenTelemetry's variables point to."""
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        yield collector


def test_calls_are_counted_by_method_and_code(server: EmbeddedServer) -> None:
    admin = server.client()
    admin.catalogs.create("main")
    with pytest.raises(LakewardenError):
        admin.catalogs.create("main")
    assert not admin.authorization.check(*TABLE)
    found = samples(server)
    assert found["lakewarden_calls_total", ("OK", CREATE)] == 1
    assert found["lakewarden_calls_total", ("ALREADY_EXISTS", CREATE)] == 1
    assert found["lakewarden_call_seconds_count", (CREATE,)] == 2
    assert 0 < found["lakewarden_call_seconds_sum", (CREATE,)] < 60
    assert found["lakewarden_refusals_total", ("NAME_TAKEN",)] == 1
    assert found["lakewarden_decisions_total", (CHECK, "DENIED")] == 1
    assert found["lakewarden_calls_in_flight", ()] == 0
    assert {found["lakewarden_calls_queued", (pool,)] for pool in ("read", "write")} == {0}


def test_state_of_the_follower_is_told(server: EmbeddedServer) -> None:
    admin = server.client()
    before = samples(server)
    admin.catalogs.create("main")
    list(admin.catalogs.list())
    after = samples(server)
    revision = int((admin.revision or "").rpartition(":")[2])
    assert after["lakewarden_snapshot_revision", ()] == revision
    assert after["lakewarden_snapshot_lag_revisions", ()] == 0
    assert after["lakewarden_snapshot_rebuilds_total", ()] == before["lakewarden_snapshot_rebuilds_total", ()]
    assert after["lakewarden_snapshot_deltas_total", ()] > before["lakewarden_snapshot_deltas_total", ()]
    declare_filled(server.app.database)
    list(admin.catalogs.list())
    rebuilt = samples(server)["lakewarden_snapshot_rebuilds_total", ()]
    assert rebuilt == before["lakewarden_snapshot_rebuilds_total", ()] + 1


def test_what_the_decision_log_leaves_out_is_counted(server: EmbeddedServer) -> None:
    accesses = [
        SimpleNamespace(privilege="SELECT", securable_type="TABLE", full_name=f"main.sales.t{number}")
        for number in range(250)
    ]
    server.client().authorization.batch_check(accesses)
    found = samples(server)
    assert found["lakewarden_decisions_total", (BATCH, "DENIED")] == 250
    assert found["lakewarden_decision_log_dropped_total", ("caller",)] == 250 - PER_CALLER_PER_SECOND_MAX
    assert found["lakewarden_decision_log_dropped_total", ("queue",)] == 0
    assert found["lakewarden_decision_log_queue", ()] <= PER_CALLER_PER_SECOND_MAX


def test_what_does_not_fit_the_queue_is_counted(server: EmbeddedServer) -> None:
    log, record = DecisionLog(server.app.database), refusal()
    for _ in range(QUEUE_MAX // 100 + 1):
        log.record([record] * 100, refusal=True)
    assert (log.waiting, log.dropped) == (QUEUE_MAX, {"caller": 0, "queue": 100, "refused": 0})


def test_errors_of_the_database_are_counted(server: EmbeddedServer) -> None:
    with (
        pytest.raises(Internal),
        server.app.database.read(deadline=monotonic() + 10) as uow,
    ):
        uow.connection.execute(text("SELECT 1 FROM nowhere"))
    assert samples(server)["lakewarden_database_errors_total", ("INTERNAL_ERROR",)] == 1


def test_every_line_of_a_call_carries_its_request_id(server: EmbeddedServer) -> None:
    admin, chosen = server.client(), str(uuid.uuid4())
    with server.app.database.transaction(deadline=monotonic() + 10) as connection:
        connection.execute(text("ALTER TABLE columns RENAME TO elsewhere"))
        connection.commit()
    with logged() as written:
        declare_filled(server.app.database)
        called(server, admin, chosen)
        admin.catalogs.create("main")
        admin.schemas.create("main.sales")
        with pytest.raises(LakewardenError):
            admin.tables.create("main.sales.orders", columns=[{"name": "id", "type_text": "BIGINT"}])
    told = lines(written)
    first = [line for line in told if line.get("request_id") == chosen]
    assert [line["logger"] for line in first] == ["lakewarden.follower", "lakewarden.calls"]
    assert {line["method"] for line in first} == {"lakewarden.v1.SessionService/GetSession"}
    (failed,) = [line for line in told if "error" in line]
    (ended,) = [line for line in told if line.get("code") == "INTERNAL"]
    assert failed["request_id"] == ended["request_id"] != chosen
    assert ended["reason"] == "INTERNAL_ERROR"
    assert "elsewhere" not in failed["message"]


def test_traces_carry_the_callers_trace_and_request_id(server: EmbeddedServer, collector: Collector) -> None:
    watched(server, traces=True)
    chosen, trace, parent = str(uuid.uuid4()), "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with server.client() as admin:
        called(server, admin, chosen, ("traceparent", f"00-{trace}-{parent}-01"))
        with pytest.raises(LakewardenError):
            admin.catalogs.get("nowhere")
    watched(server, traces=False)
    traced, failed = collector.spans
    attributes = {pair.key: pair.value for pair in traced.attributes}
    assert (traced.name, traced.trace_id.hex()) == ("lakewarden.v1.SessionService/GetSession", trace)
    assert traced.parent_span_id.hex() == parent
    assert attributes["lakewarden.request_id"].string_value == chosen
    assert attributes["rpc.grpc.status_code"].int_value == 0
    assert {pair.key: pair.value for pair in failed.attributes}["lakewarden.reason"].string_value


def test_nothing_of_this_tells_a_secret_or_a_name(server: EmbeddedServer, collector: Collector) -> None:
    secrets = [server.admin_token, mint(TokenKind.PAT).render(), f"{CANARY}-secret", f"{CANARY}-password"]
    with logged() as written:
        watched(server, traces=True)
        admin = server.client()
        secrets.append(admin.tokens.create(comment=CANARY).token_value)
        secrets.append(server.token_of(CANARY))
        admin.service_credentials.create(f"{CANARY}_c", "secret", {"value": secrets[2]})
        admin.connections.create(
            f"{CANARY}_n",
            "POSTGRESQL",
            options={"host": "h", "user": "u"},
            secret_options={"password": secrets[3]},
        )
        for attempt in (
            lambda: admin.service_credentials.create(f"{CANARY}_c", "secret", {"value": secrets[2]}),
            lambda: server.client(secrets[1]).session.get(),
            lambda: server.client(f"{secrets[1]}x").session.get(),
            lambda: admin.catalogs.get(f"{CANARY}.{secrets[2]}"),
            lambda: server.client(workspace=f"{CANARY}").catalogs.list(),
        ):
            with pytest.raises(LakewardenError):
                list(attempt() or [])
        admin.authorization.check("SELECT", "table", f"main.{CANARY}.t")
        metrics = exposition(server)
        watched(server, traces=False)
    # At least what every call leaves, or nothing was looked through.
    assert len(collector.spans) > 10
    assert len(lines(written)) > 10
    told = {"metrics": metrics, "logs": written.getvalue(), "traces": repr(collector.bodies)}
    found = {(where, secret) for where, what in told.items() for secret in secrets if secret in what}
    assert found == set()
    assert {where for where, what in told.items() if CANARY in what} == set()


def test_labels_are_of_a_known_few(server: EmbeddedServer) -> None:
    admin = server.client()
    for number in range(20):
        admin.catalogs.create(f"catalog_{number}")
        admin.authorization.check("SELECT", "table", f"catalog_{number}.a.b")
        with pytest.raises(LakewardenError):
            admin.catalogs.get(f"nowhere_{number}")
    known = {
        *server.app.pipeline.methods,
        *Reason,
        *code_pb2.Code.keys(),
        "ALLOWED",
        "DENIED",
        "read",
        "write",
        "urgent",
        "watch",
        "record",
        "lineage",
        "lineage_stream",
        "caller",
        "queue",
        "refused",
    }
    assert {value for _, labels in samples(server) for value in labels} <= known


def test_table_of_metrics_is_what_is_exported(server: EmbeddedServer, tmp_path: Path) -> None:
    with pytest.raises(Internal), server.app.database.read(deadline=monotonic() + 10) as uow:
        uow.connection.execute(text("SELECT 1 FROM nowhere"))
    server.client().authorization.check(*TABLE)
    with pytest.raises(LakewardenError):
        server.client().catalogs.get("nowhere")
    told = exposition(server)
    files = {"tls_certificate_file": tmp_path / "tls.pem", "tls_key_file": tmp_path / "tls.key"}
    Authority().server().write(*files.values())
    of_tls = re.compile(r"^(?:# TYPE )?lakewarden_certificate_.*$", re.MULTILINE)
    assert not of_tls.search(told)
    told += "\n".join(of_tls.findall(exposition(watched(server, **files))))
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", told, re.MULTILINE))
    labels = {
        name: set(re.findall(r'(\w+)="', given or "")) - {"le"}
        for name, given in re.findall(r"^(\w+?)(?:_bucket)?(?:\{(.*)\})? \S+$", told, re.MULTILINE)
    }
    exported = {
        (name, kind, ", ".join(sorted(labels[name])))
        for name, kind in kinds.items()
        if not name.endswith("_created")
    }
    section = (ROOT / "docs/operations.md").read_text().split("\n## Metrics", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*?) ?\|", section, re.MULTILINE)
    documented = {(name, kind, ", ".join(sorted(re.findall(r"\w+", given)))) for name, kind, given in rows}
    assert documented == exported


def test_unobserved_server_imports_and_pays_nothing(tmp_path: Path) -> None:
    program = (
        "import sys, lakewarden_server.cli.serving\n"
        "from lakewarden_server.testing import serve\n"
        "with serve() as server:\n"
        "    assert server.app.observability.watched(server.app.pipeline) is server.app.pipeline\n"
        "print([name for name in sys.modules if name.startswith(('prometheus_client', 'opentelemetry'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "[]\n", done.stderr


def test_serve_tells_where_its_metrics_are_and_logs_json(tmp_path: Path) -> None:
    installation = install(f"sqlite:///{tmp_path}/lakewarden.db", tmp_path / "data")
    options = ("serve", "--metrics", "0", "--log-format", "json", "--verbose")
    with installation.serve(command=(str(EXECUTABLE), *options)) as server:
        with installation.client(server) as client:
            client.catalogs.create("main")
        told = re.compile(r"^metrics on (http://127\.0\.0\.1:\d+/metrics)$", re.MULTILINE).search(
            server.output
        )
        assert told is not None
        with urllib.request.urlopen(told[1], timeout=10) as reply:
            assert f'lakewarden_calls_total{{code="OK",method="{CREATE}"}} 1.0'.encode() in reply.read()
        assert server.stop() == 0
        logged = [json.loads(line) for line in server.output.splitlines() if line.startswith("{")]
    (ended,) = [line for line in logged if line.get("method") == CREATE]
    assert (ended["code"], len(ended["request_id"])) == ("OK", 36)


def test_each_worker_has_metrics_of_its_own(tmp_path: Path) -> None:
    installation = install(f"sqlite:///{tmp_path}/lakewarden.db", tmp_path / "data")
    options = ("serve", "--workers", "2", "--metrics", "127.0.0.1:0")
    with installation.serve(command=(str(EXECUTABLE), *options)) as server:
        with installation.client(server) as client:
            client.catalogs.create("main")
        addresses = re.findall(r"^metrics on (\S+)$", server.output, re.MULTILINE)
        assert len(set(addresses)) == 2
        found = [urllib.request.urlopen(address, timeout=10).read() for address in addresses]
    counted = f'lakewarden_calls_total{{code="OK",method="{CREATE}"}} 1.0'.encode()
    assert [counted in text for text in found].count(True) == 1


def test_settings_that_make_no_sense_are_refused() -> None:
    def refused(**variables: str) -> str:
        with pytest.raises(SettingsError) as error:
            read_settings(environment=variables)
        return str(error.value)

    assert "HOST:PORT" in refused(LAKEWARDEN_METRICS="here")
    assert "text or json" in refused(LAKEWARDEN_LOG_FORMAT="xml")
    assert "otlp" in refused(OTEL_TRACES_EXPORTER="zipkin")
    assert "http/protobuf" in refused(OTEL_TRACES_EXPORTER="otlp", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    assert read_settings(environment={"LAKEWARDEN_METRICS": "9464"}).metrics == "127.0.0.1:9464"
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    assert [
        read_settings(environment={**asked, **more}).traces
        for more in ({}, {"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"})
    ] == [True, False, False]
    assert not read_settings(environment={}).traces


def test_taken_port_of_metrics_is_told(server: EmbeddedServer) -> None:
    taken = server.app.observability.metrics_address
    app = App(replace(server.app.settings, metrics=taken))
    try:
        with pytest.raises(SettingsError, match="metrics cannot be served"):
            app.start()
    finally:
        app.database.close()


def refusal() -> DecisionRecord:
    """A record like any other."""
    return DecisionRecord(
        time=datetime.now(UTC),
        revision=1,
        actor_id="actor",
        actor_name="actor@example.com",
        request_id="",
        method=CHECK,
        operation="check",
        object_name="main",
        outcome="DENIED",
        reason="",
    )


def called(server: EmbeddedServer, client: Client, request_id: str, *metadata: tuple[str, str]) -> None:
    """One call under a request id."""
    with grpc.insecure_channel(server.endpoint) as channel:
        sessions_pb2_grpc.SessionServiceStub(channel).GetSession(
            sessions_pb2.GetSessionRequest(),
            metadata=(
                ("authorization", f"Bearer {server.admin_token}"),
                ("lakewarden-request-id", request_id),
                *metadata,
            ),
            timeout=10,
        )

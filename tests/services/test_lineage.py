"""Recording OpenLineage through the client: what is recorded, what is refused, and by whom it may be told."""

from __future__ import annotations

import pytest

from lakewarden import Client, InvalidArgument, LakewardenError
from lakewarden_server.services.lineage import BATCH_EVENTS_MAX
from lakewarden_server.testing import EmbeddedServer
from lineage.corpus import event, ours


@pytest.fixture(scope="module")
def producer(server: EmbeddedServer) -> Client:
    """A scheduler: it works in the workspace and may tell of lineage, and nothing else."""
    client = server.client_as("airflow")
    server.client().grants.grant("LINEAGE PRODUCER", "workspace", "workspace", "airflow@example.com")
    return client


def failure(action) -> LakewardenError:
    with pytest.raises(LakewardenError) as raised:
        action()
    return raised.value


def test_an_event_is_recorded_once_however_often_it_is_sent(producer: Client) -> None:
    body = event(run=1, inputs=["a"], outputs=["b"])
    first, again = producer.lineage_events.record(body), producer.lineage_events.record(body.decode())
    assert (first.accepted, first.is_new) == (True, True)
    assert (again.accepted, again.is_new, again.key) == (True, False, first.key)


def test_a_batch_is_recorded_but_for_what_is_wrong(producer: Client) -> None:
    bodies = [event(run=20 + number) for number in range(10)]
    for index in (1, 4, 6, 9):
        bodies[index] = b"{}"
    outcomes = producer.lineage_events.record_batch(bodies)
    refused = [index for index, outcome in enumerate(outcomes) if not outcome.accepted]
    assert refused == [1, 4, 6, 9]
    assert {outcomes[index].code for index in refused} == {"KIND_UNKNOWN"}
    assert all(outcome.is_new for index, outcome in enumerate(outcomes) if index not in refused)


def test_any_number_of_events_is_ingested(producer: Client) -> None:
    outcomes = list(producer.lineage_events.ingest([*ours("spark"), *ours("airflow"), *ours("flink")]))
    assert len(outcomes) > 20
    assert all(outcome.accepted for outcome in outcomes)


def test_what_is_strange_is_told(producer: Client) -> None:
    strange = event(run=3, eventTime="2026-01-01T00:00:00", run_facets={"parent": {}})
    outcome = producer.lineage_events.record(strange)
    assert list(outcome.flags) == ["TIME_ZONE_MISSING"]
    assert [(dropped.owner, dropped.facet, dropped.code) for dropped in outcome.dropped_facets] == [
        ("run", "parent", "FIELD_MISSING")
    ]


def test_an_event_that_is_none_is_refused_with_its_code(producer: Client) -> None:
    error = failure(lambda: producer.lineage_events.record(b"{"))
    assert isinstance(error, InvalidArgument)
    assert (error.reason, error.metadata["code"], error.metadata["retriable"]) == (
        "EVENT_INVALID",
        "JSON_INVALID",
        "false",
    )


def test_strict_recording_refuses_what_is_let_pass_otherwise(producer: Client) -> None:
    body = event(run=4, eventTime="2026-01-01T00:00:00")
    error = failure(lambda: producer.lineage_events.record(body, strict=True))
    assert error.metadata["code"] == "TIME_ZONE_MISSING"
    assert producer.lineage_events.record(body).accepted


def test_too_many_events_in_one_call_are_refused(producer: Client) -> None:
    error = failure(lambda: producer.lineage_events.record_batch([b"{}"] * (BATCH_EVENTS_MAX + 1)))
    assert (error.reason, error.metadata["field"]) == ("FIELD_INVALID", "events")


def test_who_only_works_in_the_workspace_records_nothing(server: EmbeddedServer, producer: Client) -> None:
    error = failure(lambda: server.client_as("bob").lineage_events.record(event()))
    assert (error.code, error.reason) == ("PERMISSION_DENIED", "PRIVILEGE_MISSING")
    assert "LINEAGE PRODUCER" in error.message


def test_a_producer_that_is_taken_out_records_nothing_from_then_on(
    server: EmbeddedServer, admin: Client
) -> None:
    client = server.client_as("gone")
    admin.grants.grant("LINEAGE PRODUCER", "workspace", "workspace", "gone@example.com")
    assert client.lineage_events.record(event(run=5)).accepted
    admin.grants.revoke("LINEAGE PRODUCER", "workspace", "workspace", "gone@example.com")
    assert failure(lambda: client.lineage_events.record(event(run=6))).code == "PERMISSION_DENIED"


def test_a_query_engine_records_and_a_producer_asks_for_nobody_else(
    server: EmbeddedServer, admin: Client, producer: Client
) -> None:
    engine = server.client_as("engine")
    admin.grants.grant("QUERY ENGINE", "workspace", "workspace", "engine@example.com")
    assert engine.lineage_events.record(event(run=7)).accepted
    question = failure(
        lambda: producer.authorization.check(
            "SELECT", "table", "main.sales.orders", subject="bob@example.com"
        )
    )
    assert question.code == "PERMISSION_DENIED"


def test_lineage_is_told_from_a_workspace_of_a_metastore(
    server: EmbeddedServer, admin: Client, producer: Client
) -> None:
    nowhere = failure(
        lambda: server.client(server.token_of("airflow"), workspace="").lineage_events.record(event())
    )
    assert nowhere.reason == "WORKSPACE_REQUIRED"
    admin.workspaces.create("unattached")
    admin.grants.grant(["USER", "LINEAGE PRODUCER"], "workspace", "unattached", "airflow@example.com")
    client = server.client(server.token_of("airflow"), workspace="unattached")
    assert failure(lambda: client.lineage_events.record(event())).reason == "WORKSPACE_REQUIRED"


def test_recording_changes_no_revision(producer: Client) -> None:
    before = producer.session.get().revision
    producer.lineage_events.record(event(run=8))
    assert producer.session.get().revision == before

"""Prometheus metrics (extra `metrics`), on an HTTP port of their own. Labels are methods, codes and reasons: never names or ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from lakewarden_server.authz.follower import Follower
from lakewarden_server.core.certificates import Certificates
from lakewarden_server.observability.observed import Outcome
from lakewarden_server.pipeline.decisions import DecisionLog
from lakewarden_server.storage import Database

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds: a decision takes a fraction of a millisecond, a write a few, a deadline is at most 30 s."""


class Metrics:
    """Counts calls as an observer, and reads the rest off the server when it is scraped."""

    def __init__(
        self,
        *,
        follower: Follower,
        decisions: DecisionLog,
        database: Database,
        queued: Callable[[], Mapping[str, int]],
        certificates: Certificates | None = None,
    ) -> None:
        self.registry = registry = CollectorRegistry()
        self._calls = Counter("lakewarden_calls", "Calls that ended", ("method", "code"), registry=registry)
        self._seconds = Histogram(
            "lakewarden_call_seconds", "Time a call took in the server", ("method",), buckets=BUCKETS, registry=registry
        )  # fmt: skip
        self._in_flight = Gauge("lakewarden_calls_in_flight", "Calls being answered", registry=registry)
        self._decisions = Counter(
            "lakewarden_decisions", "Accesses engines were answered about", ("method", "outcome"), registry=registry
        )  # fmt: skip
        self._refusals = Counter("lakewarden_refusals", "Calls that failed", ("reason",), registry=registry)
        registry.register(_State(follower, decisions, database, queued))
        if certificates:
            registry.register(_Tls(certificates))
        # Looked up once: `labels` checks and locks each time.
        self._of_method = cache(self._seconds.labels)
        self._of_code = cache(self._calls.labels)
        self._server: Any = None

    def start(self, host: str, port: int) -> int:
        """Serves `/metrics`; the port that was bound. Raises OSError."""
        self._server, _ = start_http_server(port, host, self.registry)
        return int(self._server.server_port)

    def stop(self) -> None:
        """Closes the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def began(self, _method: str, _request_id: str, _metadata: Mapping[str, str]) -> None:
        """Counts a call in flight."""
        self._in_flight.inc()

    def ended(self, _began: None, method: str, outcome: Outcome) -> None:
        """Counts a call that ended."""
        self._in_flight.dec()
        self._of_code(method, outcome.code).inc()
        self._of_method(method).observe(outcome.seconds)
        if outcome.reason:
            self._refusals.labels(outcome.reason).inc()
        for answer, count in (("ALLOWED", outcome.allowed), ("DENIED", outcome.denied)):
            if count:
                self._decisions.labels(method, answer).inc(count)

    def suspended(self, _began: None) -> None:
        """Counts it no more in flight."""
        self._in_flight.dec()


class _State:
    """What the parts of a server know about themselves, read when somebody asks."""

    def __init__(
        self,
        follower: Follower,
        decisions: DecisionLog,
        database: Database,
        queued: Callable[[], Mapping[str, int]],
    ) -> None:
        self._follower = follower
        self._decisions = decisions
        self._database = database
        self._queued = queued

    def collect(self) -> Iterator[Metric]:
        """The metrics at this moment."""
        follower, decisions = self._follower, self._decisions
        yield _gauge("calls_queued", "Calls waiting for a thread", "pool", self._queued())
        yield GaugeMetricFamily(
            "lakewarden_snapshot_revision", "Revision of the state in memory", follower.revision
        )
        yield GaugeMetricFamily(
            "lakewarden_snapshot_lag_revisions", "Revisions the state is behind the newest head seen", follower.lag
        )  # fmt: skip
        yield CounterMetricFamily(
            "lakewarden_snapshot_rebuilds", "Times the whole state was read", follower.rebuilds
        )
        yield CounterMetricFamily(
            "lakewarden_snapshot_deltas", "Times it was brought on by the change log", follower.deltas
        )
        yield GaugeMetricFamily(
            "lakewarden_decision_log_queue", "Records waiting to be written", decisions.waiting
        )
        yield _counter("decision_log_dropped", "Records that were left out", "cause", decisions.dropped)
        yield _counter(
            "database_errors", "Errors of the database, by what callers were told", "reason", self._database.errors
        )  # fmt: skip


class _Tls:
    """What a server over TLS knows of its certificate."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def collect(self) -> Iterator[Metric]:
        """The metrics at this moment."""
        certificates = self._certificates
        yield GaugeMetricFamily(
            "lakewarden_certificate_expire_time_seconds", "End of the certificate served, in epoch seconds",
            certificates.current.expire_time.timestamp(),
        )  # fmt: skip
        outcomes = {"loaded": certificates.loaded, "refused": certificates.refused}
        yield _counter(
            "certificate_reloads", "Times changed certificate files were read", "outcome", outcomes
        )


def _gauge(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    return _filled(GaugeMetricFamily(f"lakewarden_{name}", text, labels=[label]), values)


def _counter(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    return _filled(CounterMetricFamily(f"lakewarden_{name}", text, labels=[label]), values)


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[str, int]
) -> GaugeMetricFamily | CounterMetricFamily:
    for key, value in dict(values).items():
        family.add_metric([key], value)
    return family

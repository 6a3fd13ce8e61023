"""Puts together what the settings ask to be observed; imports the packages of an extra only then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from lakewarden_server.authz.follower import Follower
from lakewarden_server.config import Settings, SettingsError
from lakewarden_server.core.certificates import Certificates
from lakewarden_server.observability.logs import Logs
from lakewarden_server.observability.observed import Observed, Observer
from lakewarden_server.pipeline.decisions import DecisionLog
from lakewarden_server.pipeline.pipeline import Handler
from lakewarden_server.storage import Database

if TYPE_CHECKING:
    from lakewarden_server.observability.metrics import Metrics
    from lakewarden_server.observability.traces import Traces


class Observability:
    """The observers of one server, and how to start and stop them."""

    def __init__(
        self,
        settings: Settings,
        *,
        follower: Follower,
        decisions: DecisionLog,
        database: Database,
        queued: Callable[[], Mapping[str, int]],
        certificates: Certificates | None = None,
    ) -> None:
        """Raises `SettingsError` for what is asked for and not installed."""
        self._host, _, port = settings.metrics.rpartition(":")
        # Workers share it: each takes the first that is free, and one more while another is replaced.
        self._ports = range(
            int(port or 0), int(port or 0) + (settings.workers + 1 if settings.workers > 1 else 1)
        )
        self.metrics_address = ""
        self._metrics: Metrics | None = None
        self._traces: Traces | None = None
        observers: list[Observer] = [Logs()] if settings.log_format == "json" else []
        if settings.metrics:
            _require("prometheus_client", "metrics")
            from lakewarden_server.observability.metrics import Metrics

            self._metrics = Metrics(
                follower=follower,
                decisions=decisions,
                database=database,
                queued=queued,
                certificates=certificates,
            )
            observers.append(self._metrics)
        if settings.traces:
            _require("opentelemetry.exporter.otlp.proto.http", "otel")
            from lakewarden_server.observability.traces import Traces

            self._traces = Traces()
            observers.append(self._traces)
        self._observers = observers

    def watched(self, pipeline: Handler) -> Handler:
        """The pipeline itself where nobody watches: nothing then costs anything."""
        return Observed(pipeline, self._observers) if self._observers else pipeline

    def start(self) -> None:
        """Opens the port of the metrics. Raises `SettingsError` when none can be had."""
        if self._metrics is None:
            return
        problem = OSError()
        for port in self._ports:
            try:
                self.metrics_address = f"{self._host}:{self._metrics.start(self._host.strip('[]'), port)}"
            except OSError as error:
                problem = error
            else:
                return
        raise SettingsError(f"metrics cannot be served on {self._host}:{self._ports[0]}: {problem.strerror}")

    def stop(self) -> None:
        """Closes the port and exports the spans that are left."""
        if self._metrics is not None:
            self._metrics.stop()
        if self._traces is not None:
            self._traces.stop()


def _require(module: str, extra: str) -> None:
    package = module.partition(".")[0]
    if find_spec(package) is None or find_spec(module) is None:
        raise SettingsError(f"that needs more packages: pip install 'lakewarden[server,{extra}]'")

"""Numbers for Prometheus. Labels are names from the code: no device, no content, a bounded number of series."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """The metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.calls = Counter(
            "mnemon_calls", "Calls ended, by method and status.", ["method", "code"], registry=registry
        )
        self.refusals = Counter("mnemon_refusals", "Calls refused, by reason.", ["reason"], registry=registry)
        self.seconds = Histogram(
            "mnemon_call_seconds", "How long calls took.", ["method"], buckets=_SECONDS, registry=registry
        )
        self.first_token = Histogram(
            "mnemon_first_token_seconds", "From a question to its first words.", buckets=_SECONDS, registry=registry
        )
        self.tokens = Counter("mnemon_tokens", "Tokens of questions and answers.", ["kind"], registry=registry)
        self.waiting = Gauge("mnemon_waiting", "Questions waiting for a place.", registry=registry)
        self.answering = Gauge("mnemon_answering", "Questions being answered.", registry=registry)
        self.serving = Gauge("mnemon_serving", "1 while engine and storage work.", registry=registry)

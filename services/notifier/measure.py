"""What the notifier counts for Prometheus."""

from typing import Literal

from chassis.core import metrics

SERVICE = "notifier"


class Measures:
    """`delivered`, `retry` (an attempt failed, another follows) and `dead`; and how soon the first attempt ended."""

    def __init__(self) -> None:
        self._ended = metrics.counter(
            "bitmill_webhook_attempts", "Attempts at webhooks, by what follows from them.", ("service", "result")
        )
        self._first = metrics.histogram(
            "bitmill_webhook_first_attempt_seconds",
            "From a finished job's row to the end of its webhook's first attempt.",
        )

    def ended(self, result: Literal["delivered", "retry", "dead"]) -> None:
        self._ended.labels(service=SERVICE, result=result).inc()

    def first_attempt(self, seconds: float) -> None:
        self._first.labels(service=SERVICE).observe(seconds)

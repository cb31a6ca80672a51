"""Prometheus metrics, created on first use and shared by name; the label `service` names the service."""

from collections.abc import Mapping, Sequence
from functools import cache

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, Histogram, generate_latest

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: from a response from memory to one that waits for another server."""


@cache
def counter(name: str, help: str, labels: tuple[str, ...] = ("service",)) -> Counter:
    """The counter with this name; set its labels with `.labels(service=…)`. Prometheus appends `_total`."""
    return Counter(name, help, labels)


@cache
def gauge(name: str, help: str, labels: tuple[str, ...] = ("service",)) -> Gauge:
    """The gauge with this name; `.labels(service=…).set_function(f)` computes its value at each scrape."""
    return Gauge(name, help, labels)


def clear_gauges(helps: Mapping[str, str], service: str) -> None:
    """Removes the values of a service from gauges (name -> help), so that none is shown that is not kept up to date."""
    for name, help in helps.items():
        # Only what was set can be removed.
        gauge(name, help).labels(service)
        gauge(name, help).remove(service)


@cache
def _histogram(name: str, help: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
    return Histogram(name, help, labels, buckets=buckets)


def histogram(
    name: str, help: str, labels: tuple[str, ...] = ("service",), buckets: Sequence[float] = LATENCY_BUCKETS
) -> Histogram:
    """The histogram with this name, in seconds unless the name says otherwise."""
    return _histogram(name, help, labels, tuple(buckets))


def exposition() -> tuple[bytes, str]:
    """All metrics in the text format of Prometheus, and its content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST

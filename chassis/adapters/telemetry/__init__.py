"""Spans to OpenTelemetry, by its SDK. `exporting` is the only way in; what it imports, it imports when it is called."""

from chassis.adapters.telemetry.exporting import TracingUnavailable, exporting

__all__ = ["TracingUnavailable", "exporting"]

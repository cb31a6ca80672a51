"""Where spans are exported to. The names of the variables are those of OpenTelemetry's specification."""

from typing import Annotated, Literal

from pydantic import Field

from chassis.core.setting_types import Base, parsed, service_url


class TracingSettings(Base):
    """The settings of traces that decide whether there are any.

    The exporter reads further standard variables itself: OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT, _COMPRESSION and
    _CERTIFICATE, OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_*.
    """

    otel_exporter_otlp_endpoint: Annotated[str, parsed(service_url("http", "https"))] | None = Field(
        None,
        title="OpenTelemetry endpoint",
        description="Traces are sent to this address with /v1/traces appended. Not set: no traces.",
    )
    otel_exporter_otlp_protocol: Literal["http/protobuf"] = Field(
        "http/protobuf", title="OpenTelemetry protocol", description="The only one that is supported."
    )
    otel_traces_exporter: Literal["otlp", "none"] = Field(
        "otlp", title="OpenTelemetry traces exporter", description="none: no traces, although there is an endpoint."
    )
    otel_sdk_disabled: bool = Field(
        False, title="OpenTelemetry disabled", description="true: no traces, although there is an endpoint."
    )

    @property
    def traces_endpoint(self) -> str | None:
        """The address that takes traces; None where there are to be none."""
        endpoint = self.otel_exporter_otlp_endpoint
        if endpoint is None or self.otel_sdk_disabled or self.otel_traces_exporter == "none":
            return None
        return f"{endpoint.rstrip('/')}/v1/traces"

"""Settings of the notifier, read from the environment."""

from datetime import timedelta

from pydantic import Field, SecretStr, field_validator

from chassis.adapters.egress.exchange import ResponseLimits
from chassis.core.setting_types import Duration
from chassis.core.settings import CommonSettings
from services.notifier.signing import hmac_key


class Settings(CommonSettings):
    """The common settings, and the notifier's own."""

    webhook_secret: SecretStr = Field(
        title="Webhook secret",
        description=(
            "Signs every webhook. whsec_ and 24 to 64 bytes as base64 (Standard Webhooks); "
            "any other text is used as it stands, as UTF-8."
        ),
    )
    notifier_slots: int = Field(
        default=64,
        ge=1,
        le=1000,
        title="Deliveries at a time",
        description="How many webhooks one process sends at once.",
    )
    notifier_slots_per_host: int = Field(
        default=16,
        ge=1,
        le=1000,
        title="Deliveries at a time to one host",
        description=(
            "So that a slow receiver holds up itself alone. A project may exceed it up to an equal share of it, so "
            "that no other project blocks a host for it."
        ),
    )
    notifier_deadline: Duration = Field(
        default=timedelta(seconds=20),
        gt=timedelta(0),
        le=timedelta(minutes=2),
        title="Deadline of an attempt",
        description="From the DNS lookup to the end of the response body.",
    )

    notifier_keep: Duration = Field(
        default=timedelta(days=30),
        ge=timedelta(days=8),
        title="Retention of deliveries",
        description="How long finished deliveries and their attempts are kept; longer than Kafka keeps job.results.",
    )

    @property
    def response_limits(self) -> ResponseLimits:
        """The limits of a receiver's response, beside the deadline of the attempt.

        The body is only recorded, so a slow one gets no more than a quarter of the deadline.
        """
        deadline_s = self.notifier_deadline.total_seconds()
        return ResponseLimits(
            head_s=deadline_s,
            min_rate=self.egress_min_rate,
            rate_window_s=min(self.egress_rate_window.total_seconds(), deadline_s / 4),
        )

    @field_validator("webhook_secret")
    @classmethod
    def _usable(cls, secret: SecretStr) -> SecretStr:
        hmac_key(secret.get_secret_value())
        return secret

"""How many requests a service takes of a caller, where the project has no limits of its own."""

from pydantic import Field

from chassis.core.setting_types import Base


class RateSettings(Base):
    """The settings of services with an API."""

    rate_limit: int = Field(
        60_000,
        ge=0,
        title="Requests of a project a minute",
        description=(
            "With more, the API responds with 429 (rate_limited) until the minute is over. Those that read and those "
            "that change something are counted apart, each over all replicas. 0: no limit. A project may have its own."
        ),
    )
    key_rate_limit: int = Field(
        0,
        ge=0,
        title="Requests of an API key a minute",
        description="The same for each key of a project. 0: no limit but that of its project.",
    )

"""The settings of the catalog."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from chassis.core.rate_settings import RateSettings
from chassis.core.setting_types import Duration, parsed, service_url
from chassis.core.settings import CommonSettings


class Settings(CommonSettings, RateSettings):
    """The common settings, and the catalog's own."""

    read_wait: Duration = Field(
        timedelta(seconds=5),
        ge=timedelta(0),
        le=timedelta(seconds=30),
        title="Read wait",
        description="How long a GET waits for the event of an id that is not known yet, before it responds with 503.",
    )
    catalog_connections: int = Field(
        10,
        ge=2,
        le=200,
        title="Connections for queries",
        description="Postgres connections of one catalog process for requests; the projection has its own.",
    )
    listen_url: Annotated[str, parsed(service_url("postgresql", "postgres"))] | None = Field(
        None,
        title="Postgres for notifications",
        description="The same database without a transaction pooler, if DATABASE_URL goes through one.",
    )
    catalog_query_timeout: Duration = Field(
        timedelta(seconds=5),
        gt=timedelta(0),
        le=timedelta(minutes=5),
        title="Query timeout",
        description="How long one query may take before the request gets 503.",
    )
    retain_deleted_media: Duration = Field(
        timedelta(days=30),
        ge=timedelta(days=15),
        title="Retention of marks of deleted media items and purged jobs",
        description="How long it is known that one was deleted; longer than Kafka keeps events about it.",
    )
    retain_events: Duration = Field(
        timedelta(hours=1),
        ge=timedelta(minutes=1),
        le=timedelta(days=30),
        title="Retention of events",
        description="For how long a stream of events can go on after Last-Event-ID without a gap.",
    )
    event_listeners: int = Field(
        2000,
        ge=1,
        title="Streams of events",
        description="Open in one catalog process, of all projects; each needs one of its HTTP connections.",
    )
    event_listeners_per_project: int = Field(
        1000,
        ge=1,
        title="Streams of events of a project",
        description="Open in one catalog process.",
    )
    event_heartbeat: Duration = Field(
        timedelta(seconds=15),
        ge=timedelta(milliseconds=100),
        le=timedelta(minutes=5),
        title="Heartbeat of streams of events",
        description="How often a comment is sent to listeners while nothing happens.",
    )

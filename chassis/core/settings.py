"""Settings from environment variables, each with title and description; a wrong one ends the start with a message."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode

from chassis.core import redact
from chassis.core.encryption import Keyring, parse_keys
from chassis.core.http_settings import HttpSettings
from chassis.core.kafka_settings import KafkaSettings
from chassis.core.setting_types import Base, Duration, name_servers, networks, parsed, service_url, storage_address
from chassis.core.tracing_settings import TracingSettings

Network = IPv4Network | IPv6Network


class CommonSettings(KafkaSettings, HttpSettings, TracingSettings):
    """The settings that all services have."""

    kafka_handler_attempts: int = Field(
        5,
        ge=1,
        le=100,
        title="Attempts of a Kafka handler",
        description="At a record that fails unexpectedly; then it goes to the dead-letter topic. Outages never count.",
    )
    kafka_dead_letters_per_minute: int = Field(
        20,
        ge=1,
        title="Dead letters a minute",
        description="Of one topic; with more the consumer stops and the service is not ready until it is restarted.",
    )
    database_url: Annotated[str, parsed(service_url("postgresql", "postgres"))] = Field(
        title="Postgres", description="The database: postgresql://user:password@host/name. Each service has a schema."
    )
    migrate_on_start: bool = Field(
        True,
        title="Migrate at start",
        description="Whether a service migrates its schema when it starts. If not, run `bitmill migrate` before.",
    )
    storage_url: Annotated[str, parsed(storage_address)] = Field(
        title="Storage", description="Where files are kept: file:///folder or s3://bucket/prefix?endpoint=…&region=…"
    )
    public_url: Annotated[str, parsed(service_url("http", "https"))] = Field(
        "http://127.0.0.1:8080", title="Public address", description="Where customers reach the API."
    )
    delivery_url: Annotated[str, parsed(service_url("http", "https"))] | None = Field(
        None, title="Delivery address", description="Where files are delivered from; the public address if not set."
    )
    encryption_keys: SecretStr | None = Field(
        None,
        title="Encryption keys",
        description=(
            "Encrypt secrets and signed addresses at rest, and sign delivery addresses: base64 of 32 random "
            "bytes (openssl rand -base64 32). Several, separated by commas: the first encrypts, all decrypt."
        ),
    )
    signed_url_lifetime: Duration = Field(
        timedelta(hours=24),
        gt=timedelta(0),
        title="Lifetime of signed addresses",
        description="How long the address of a file works in a project with signed delivery.",
    )
    allow_net: Annotated[tuple[Network, ...], NoDecode, parsed(networks)] = Field(
        (),
        title="Allowed networks",
        description="Private networks that requests to customers' addresses may reach: CIDR, separated by commas.",
    )
    egress_name_servers: Annotated[tuple[tuple[str, int], ...], NoDecode, parsed(name_servers)] = Field(
        (),
        title="Name servers for customers' hosts",
        description="Addresses, separated by commas; those of /etc/resolv.conf if not set.",
    )
    egress_min_rate: int = Field(
        4096,
        ge=0,
        title="Least rate of customers' servers",
        description="In bytes per second; a server that sends a body more slowly is given up. 0: no least rate.",
    )
    egress_rate_window: Duration = Field(
        timedelta(seconds=30),
        gt=timedelta(0),
        title="Window of the least rate",
        description="The rate is the mean over each window, so a server has so long before it is given up.",
    )
    retain_jobs: Duration = Field(
        timedelta(days=90),
        ge=timedelta(days=15),
        title="Retention of jobs",
        description=(
            "How long jobs that have ended are kept, with the outputs that belong to nothing else; longer than Kafka "
            "keeps events. The same for all services."
        ),
    )
    retain_quarantined_events: Duration = Field(
        timedelta(days=30),
        ge=timedelta(days=1),
        title="Retention of quarantined events",
        description="How long an event is kept that Kafka refuses as too large.",
    )
    purge_interval: Duration = Field(
        timedelta(minutes=10),
        ge=timedelta(seconds=1),
        le=timedelta(days=1),
        title="Purge interval",
        description="How often rows are deleted that are older than their retention.",
    )
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", title="Log format", description="text, json, or auto: text on a terminal, JSON otherwise."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", title="Log level", description="The least severe level that is logged."
    )
    shutdown_timeout: Duration = Field(
        timedelta(seconds=8),
        title="Shutdown timeout",
        description="How long a stopping service may take to finish or release its work: seconds, or 500ms, 8s, 2m.",
    )

    @field_validator("encryption_keys")
    @classmethod
    def _usable_keys(cls, keys: SecretStr | None) -> SecretStr | None:
        if keys is not None:
            parse_keys(keys.get_secret_value())
        return keys

    @property
    def keyring(self) -> Keyring | None:
        """What encrypts and decrypts; None without `encryption_keys`."""
        return None if self.encryption_keys is None else Keyring(parse_keys(self.encryption_keys.get_secret_value()))

    @property
    def derive_keys(self) -> Callable[[str], list[bytes]] | None:
        """Gives the signing keys for a purpose, the current one first; None without `encryption_keys`."""
        return None if (keyring := self.keyring) is None else keyring.derive

    @property
    def delivery_base(self) -> str:
        """The URL below which files are delivered, without a trailing slash."""
        return (self.delivery_url or self.public_url).rstrip("/")


class StartRefused(Exception):
    """The process cannot work with these settings or on this machine; the message says why, and what to do.

    It ends the start of a process with this message and no traceback.
    """


class SettingsError(StartRefused):
    """Environment variables are missing or wrong; `problems` has one sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class SettingInfo:
    """A setting for the documentation; `default` is None if it must be set."""

    env: str
    title: str
    description: str
    type: str
    default: str | None
    secret: bool


S = TypeVar("S", bound=Base)


def load(settings: type[S], **overrides: Any) -> S:
    """The settings from the environment; `overrides`, by field name, take precedence. Raises `SettingsError`."""
    try:
        return settings(**overrides)
    except ValidationError as error:
        raise SettingsError(list(_problems(settings, error))) from None


def describe(settings: type[Base]) -> list[SettingInfo]:
    """All settings of a class, in the order in which they are declared."""
    return [
        SettingInfo(
            env=_env(name, field),
            title=field.title or name,
            description=field.description or "",
            type=_type_name(field),
            default=None if field.is_required() else _default(field),
            secret=_secret(name, field),
        )
        for name, field in settings.model_fields.items()
    ]


def _problems(settings: type[Base], error: ValidationError) -> Iterator[str]:
    by_env = {_env(name, field).lower(): (name, field) for name, field in settings.model_fields.items()}
    for item in error.errors(include_url=False):
        if not item["loc"]:  # of several settings together: the message names them
            yield str(item["ctx"]["error"]) if "ctx" in item else str(item["msg"])
            continue
        location = str(item["loc"][0])
        name, field = by_env.get(location.lower(), (location, settings.model_fields.get(location)))
        env = _env(name, field) if field else name.upper()
        described = f" {field.title}: {field.description}" if field and field.title else ""
        if item["type"] == "missing":
            yield f"{env} is required.{described}"
        else:
            yield f"{env} {_expected(item)} (it is {_shown(name, field, item['input'])}).{described}"


def _expected(item: Mapping[str, Any]) -> str:
    context = item.get("ctx") or {}
    match item["type"]:
        case "int_parsing" | "int_type" | "int_from_float":
            return "must be a whole number"
        case "float_parsing" | "float_type":
            return "must be a number"
        case "bool_parsing" | "bool_type":
            return "must be true or false"
        case "literal_error" | "enum":
            return f"must be one of {context['expected'].replace(' or ', ', ')}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "greater_than":
            return f"must be more than {context['gt']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "string_too_short" | "too_short":
            return f"must have at least {context['min_length']} characters"
        case "value_error":
            return str(context["error"])
        case _:
            message = str(item["msg"])
            return f"is wrong: {message[:1].lower()}{message[1:]}"


def _shown(name: str, field: FieldInfo | None, value: Any) -> str:
    if _secret(name, field):
        return "hidden, because it is a secret"
    return repr(redact.text(str(value)))


def _secret(name: str, field: FieldInfo | None) -> bool:
    typed = field is not None and "SecretStr" in str(field.annotation)
    return typed or redact.secret_name(name)


def _env(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias or field.alias
    return (alias if isinstance(alias, str) else name).upper()


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, SecretStr):
        return redact.MASK
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.15g}s"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ",".join(str(item) for item in value)
    return "" if value is None else redact.text(str(value))


def _type_name(field: FieldInfo) -> str:
    text = str(field.annotation)
    for marker, name in (
        ("Literal[", ", ".join(getattr(field.annotation, "__args__", ()) or ()) if "Literal[" in text else ""),
        ("Network", "networks"),
        ("tuple[str, int]", "addresses"),
        ("timedelta", "duration"),
        ("SecretStr", "secret"),
        ("Path", "path"),
        ("bool", "true or false"),
        ("int", "whole number"),
        ("float", "number"),
    ):
        if marker in text:
            return name
    return "text"

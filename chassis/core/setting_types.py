"""Types of settings: how they are written in the environment, and the error message for a wrong one."""

import re
from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings, SettingsConfigDict

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_MAX_DURATION_SECONDS = 36_500 * 86_400
"""A hundred years: Postgres and timedelta can add it to any time of today."""
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Base(BaseSettings):
    """Settings from environment variables with the fields' names in capitals; an empty variable counts as not set."""

    model_config = SettingsConfigDict(
        env_prefix="", case_sensitive=False, frozen=True, extra="ignore", env_ignore_empty=True
    )


def parsed(parse: Callable[[str], Any]) -> BeforeValidator:
    """Applies `parse` to text from the environment; values that code passes are left unchanged."""

    def before(value: Any) -> Any:
        return parse(value.strip()) if isinstance(value, str) else value

    return BeforeValidator(before)


def duration(text: str) -> timedelta:
    """`8`, `8s`, `500ms`, `2m`, `1h`, `1d`; a number without a unit is seconds."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError("must be a duration such as 500ms, 8s, 2m, 1h or 1d")
    seconds = float(match[1]) * _UNIT_SECONDS[match[2] or "s"]
    if seconds > _MAX_DURATION_SECONDS:
        raise ValueError("must be at most 36500d")
    return timedelta(seconds=seconds)


Duration = Annotated[timedelta, parsed(duration)]


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks such as `10.0.0.0/8,fd00::/8`; a plain address is a network of one."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"must be networks such as 10.0.0.0/8, separated by commas: {error}") from None


def name_servers(text: str) -> tuple[tuple[str, int], ...]:
    """Name servers such as `10.0.0.53,[fd00::53]:5353`; the port is 53 unless given."""
    try:
        parts = [urlsplit(f"//{part.strip()}") for part in text.split(",") if part.strip()]
        return tuple((str(ip_address(part.hostname or "")), 53 if part.port is None else part.port) for part in parts)
    except ValueError as error:
        raise ValueError(f"must be addresses such as 10.0.0.53 or [fd00::53]:5353, with commas: {error}") from None


def service_url(*schemes: str) -> Callable[[str], str]:
    """A parser of URLs with one of these schemes and a host (or a socket folder as parameter `host=`)."""
    expected = " or ".join(f"{scheme}://" for scheme in schemes)

    def parse(text: str) -> str:
        try:
            parts = urlsplit(text)
            _ = parts.port
        except ValueError as error:
            raise ValueError(f"must be a {expected} address: {error}") from None
        if parts.scheme not in schemes or not (parts.hostname or "host=" in parts.query):
            raise ValueError(f"must be a {expected} address with a host")
        return text

    return parse


def storage_address(text: str) -> str:
    """`file:///an/absolute/folder` or `s3://bucket[/prefix][?endpoint=…&region=…]`."""
    parts = urlsplit(text)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return text
    if parts.scheme == "s3" and parts.netloc:
        return text
    raise ValueError("must be file:///an/absolute/folder or s3://bucket/prefix")

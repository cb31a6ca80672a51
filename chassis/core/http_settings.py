"""How a process listens for HTTP: the address, the proxies in front of it, and how many connections it holds."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import Field
from pydantic_settings import NoDecode

from chassis.core.setting_types import Base, networks, parsed


class HttpSettings(Base):
    """The settings of everything that serves HTTP."""

    http_host: str = Field("127.0.0.1", title="HTTP host", description="The address to listen on.")
    http_port: int = Field(8080, ge=0, le=65535, title="HTTP port", description="The port to listen on; 0: any.")
    http_connections: int = Field(
        5000,
        ge=8,
        title="HTTP connections",
        description="How many a process holds at most; never more than half of the files that it may open.",
    )
    http_connections_per_client: int = Field(
        512,
        ge=1,
        title="HTTP connections of one client",
        description=(
            "Of one IPv4 address or /64 network of IPv6; never more than a quarter of all. With more, its oldest "
            "unused one is closed, or the new one gets 503. Trusted proxies have no such bound."
        ),
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, parsed(networks)] = Field(
        (),
        title="Trusted proxies",
        description=(
            "Networks of the proxies in front of the API, separated by commas: X-Forwarded-For counts only from these, "
            "and only their connections are not bounded as those of one client."
        ),
    )

"""The egress policy: resolves names and checks every address."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from functools import cache
from ipaddress import IPv4Address, IPv6Network, ip_address
from math import inf
from time import monotonic

from chassis.adapters.egress.addresses import Address, Network, canonical, forbidden
from chassis.adapters.egress.connection import Pausing
from chassis.adapters.egress.dns_client import LOOKUP_S, PROBE_S, DnsClient
from chassis.adapters.egress.hosts import AddressForbidden, check_syntax
from chassis.adapters.egress.lookups import LookupLimits, Lookups, NameNotFound, Resolve
from chassis.core import logs
from chassis.core.settings import CommonSettings

MAX_ADDRESSES = 8
"""At most so many addresses of a name are tried; all of them are checked."""

# The same sentence for every target, so that responses do not reveal which internal hosts and ports exist.
_FORBIDDEN = (
    "The address is private or reserved, and may be contacted only if the operator of this installation has added its "
    "network to the setting ALLOW_NET."
)
_LOOPBACK = IPv4Address("127.0.0.1")

NOT_FOUND_SECONDS = 1.0
"""After so long a lookup without usable addresses ends, so that its time does not tell whether the name exists."""

__all__ = ["AddressForbidden", "EgressPolicy", "Resolve", "egress_policy"]

log = logs.get_logger(__name__)


@cache
def default_tls_context() -> ssl.SSLContext:
    """Verifies certificates by the machine's authorities, or those of SSL_CERT_FILE."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class EgressPolicy:
    """Decides which addresses requests may go to. Networks of `allow_net` are allowed although they are private."""

    def __init__(
        self,
        allow_net: Sequence[Network] = (),
        *,
        resolve: Resolve | None = None,
        lookups: LookupLimits | None = None,
        not_found_s: float = NOT_FOUND_SECONDS,
        tls_context: Callable[[], ssl.SSLContext] = default_tls_context,
    ) -> None:
        self.tls_context = tls_context
        self._allowed = list(allow_net)
        if self._is_allowed(_LOOPBACK):
            # `localhost` resolves to both addresses, which are the same machine.
            self._allowed.append(IPv6Network("::1/128"))
        self._lookups = Lookups(resolve or DnsClient(), lookups or LookupLimits())
        self._not_found_s = not_found_s

    def check_url(self, url: str) -> None:
        """Raises AddressForbidden for what needs no DNS: scheme, port, unusual or private literals, local names."""
        _, address = check_syntax(url)
        if address is not None:
            self.check_address(address)

    def check_address(self, address: Address | str) -> None:
        """Raises AddressForbidden unless the address is public or in an allowed network."""
        try:
            plain = canonical(ip_address(address) if isinstance(address, str) else address)
        except ValueError:
            raise AddressForbidden(_FORBIDDEN) from None
        reason = forbidden(plain)
        if reason is not None and not self._is_allowed(plain):
            log.info("egress_address_refused", address=str(plain), reason=reason, setting="ALLOW_NET")
            raise AddressForbidden(_FORBIDDEN)

    async def addresses(self, host: str, port: int, *, project: str, queued: Pausing) -> list[str]:
        """The addresses of the host. Raises NameNotFound, TimeoutError if no name server of the host answers in time,
        or NameServersUnavailable if none of ours does.

        A name that has a forbidden address, be it one among others, is not found, and that takes as long as for a name
        that does not exist: otherwise customers could try out which names exist in our network.
        """
        started = monotonic()
        try:
            found = list(dict.fromkeys(await self._lookups.addresses(host, port, project=project, queued=queued)))
            for address in found:
                self.check_address(address)
        except (AddressForbidden, NameNotFound):
            await asyncio.sleep(started + self._not_found_s - monotonic())
            raise NameNotFound(host) from None
        return found[:MAX_ADDRESSES]

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self._allowed)


def egress_policy(settings: CommonSettings, *, deadline_s: float = inf) -> EgressPolicy:
    """The policy of a service. `deadline_s` is that of its requests: an outage of our name servers shows before it."""
    client = DnsClient(
        name_servers=settings.egress_name_servers,
        timeout_s=min(LOOKUP_S, deadline_s / 2),
        probe_s=min(PROBE_S, deadline_s / 4),
    )
    return EgressPolicy(settings.allow_net, resolve=client)

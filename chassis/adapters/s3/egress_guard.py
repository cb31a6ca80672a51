"""Keeps the connections of an S3 client within the egress policy, and remembers why one was refused.

Three checks, as for every other request to a customer's address: of the endpoint's text, of what its name resolves to,
and of each address before a socket for it exists. aiobotocore wraps what they raise, so that it is kept here as well.
"""

import socket
from contextlib import nullcontext
from typing import Any, Literal

from aiohttp.abc import AbstractResolver, ResolveResult

from chassis.adapters.egress.connection import LACKING
from chassis.adapters.egress.hosts import AddressForbidden, check_port
from chassis.adapters.egress.lookups import NameServersUnavailable
from chassis.adapters.egress.policy import EgressPolicy

Refusal = tuple[Literal["forbidden", "host_not_found"], str | OSError]


class EgressGuard(AbstractResolver):
    """The guard of one client, whose requests are a project's. Without a policy the endpoint is the operator's own."""

    def __init__(self, policy: EgressPolicy | None, project: str) -> None:
        self.policy = policy
        self._project = project
        self._refusal: Refusal | None = None

    def check_endpoint(self, url: str) -> None:
        """Raises AddressForbidden for what the address shows without a look-up."""
        if self.policy is not None:
            self.policy.check_url(url)

    def take(self) -> Refusal | None:
        """Why the last connection was refused, once: a sentence, or the error for an outage of ours."""
        refusal, self._refusal = self._refusal, None
        return refusal

    @staticmethod
    def lacks(error: OSError) -> bool:
        """Whether this machine lacks what the connection needed."""
        return error.errno in LACKING

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - all families are used
    ) -> list[ResolveResult]:
        """Called by aiohttp for names; literal addresses only come to `make_socket`."""
        if self.policy is None:
            raise RuntimeError("only with a policy")
        try:
            found = await self.policy.addresses(host, port, project=self._project, queued=nullcontext)
        except NameServersUnavailable as error:
            self._refusal = ("host_not_found", error)
            raise
        except OSError:
            self._refusal = ("host_not_found", "")
            raise
        return [_result(host, address, port) for address in found]

    async def close(self) -> None:
        """Nothing to close."""

    def make_socket(self, info: Any) -> socket.socket:
        """The socket for an address, which is checked. Raises AddressForbidden."""
        family, kind, protocol, _, target = info
        if self.policy is not None:
            try:
                check_port(int(target[1]))
                self.policy.check_address(str(target[0]))
            except AddressForbidden as error:
                self._refusal = ("forbidden", error.reason)
                raise
        return socket.socket(family=family, type=kind, proto=protocol)


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)

"""Rate limits of callers, in the words of HTTP: 429 with `Retry-After`, and the header fields of the Internet-Draft
"RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers-10): `RateLimit-Policy` names the quotas
(`q` requests in `w` seconds), `RateLimit` what is left of them (`r` requests, `t` seconds until the next window).
"""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from aiohttp import web

from chassis.adapters.http.errors import ApiError
from chassis.core.metrics import counter

POLICY = "RateLimit-Policy"
LEFT = "RateLimit"
RATE_HEADERS = web.RequestKey("rate_headers", dict[str, str])
"""Under it a request carries the header fields that its response gets."""

_refused = counter("bitmill_requests_limited", "Requests refused with 429 rate_limited.", ("service", "policy"))


class Quota(NamedTuple):
    """At most `limit` requests of `subject` in a window. `name` is a word: who has the quota."""

    name: str
    subject: str
    limit: int


class Taken(Protocol):
    """The part of `chassis.runtime.rate_limits.Taken` that is used."""

    @property
    def allowed(self) -> bool: ...

    @property
    def left(self) -> int: ...

    @property
    def reset_s(self) -> float: ...


def caller_quotas(project: str, project_limit: int, key_id: str, key_limit: int) -> list[Quota]:
    """The quotas of a key and of its project; a limit of 0 is none (pure). The key's comes first: a key that is over
    its own uses up nothing of the project's."""
    quotas = [Quota("key", f"key:{key_id}", key_limit), Quota("project", f"project:{project}", project_limit)]
    return [quota for quota in quotas if quota.limit > 0]


Take = Callable[[str, int, int], Awaitable[Taken]]
"""Takes so many requests of a subject with this limit."""


class RateLimit:
    """Counts requests by the quotas of their callers. `window_s` is the length of a window in seconds."""

    def __init__(self, service: str, take: Take, window_s: int) -> None:
        self._service = service
        self._take = take
        self._window_s = window_s

    async def count(self, quotas: Sequence[Quota], number: int = 1) -> Mapping[str, str]:
        """Counts `number` requests; the header fields of the response. Raises ApiError 429 and what `take` raises."""
        if not quotas:
            return {}
        shown = []
        for quota in quotas:
            taken = await self._take(quota.subject, quota.limit, min(number, quota.limit))
            wait_s = math.ceil(taken.reset_s)
            shown.append(f'"{quota.name}";r={taken.left};t={wait_s}')
            if not taken.allowed:
                _refused.labels(self._service, quota.name).inc()
                headers = {**self._policies(quotas), LEFT: shown[-1]}
                raise rate_limited(quota, self._window_s, max(1, wait_s), headers)
        return {**self._policies(quotas), LEFT: ", ".join(shown)}

    def _policies(self, quotas: Sequence[Quota]) -> dict[str, str]:
        return {POLICY: ", ".join(f'"{quota.name}";q={quota.limit};w={self._window_s}' for quota in quotas)}


def rate_limited(quota: Quota, window_s: int, wait_s: int, headers: Mapping[str, str]) -> ApiError:
    """429: nothing was done; the same request may be sent again after `wait_s` seconds."""
    message = (
        f"This {quota.name} has sent {quota.limit} requests within {window_s} seconds, as many as it may: "
        f"send this again in {wait_s} s."
    )
    return ApiError(429, "rate_limited", message, headers={**headers, "Retry-After": str(wait_s)})


def set_rate_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Sets the fields of a counted request, beside those that its error may have of another quota."""
    for name, value in request.get(RATE_HEADERS, {}).items():
        own = response.headers.get(name)
        response.headers[name] = value if own is None else f"{own}, {value}"

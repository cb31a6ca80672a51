"""Is the process alive, and would a request truly work: `/livez` and `/readyz`."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

CHECK_TIMEOUT_SECONDS = 2.0
CACHE_SECONDS = 1.0
"""Probes come from several places at once; the database is asked once a second."""

Check = Callable[[], Awaitable[None]]
CheckState = Literal["ok", "failed", "starting"]

# What looks like an address, a path or a secret has no place in an answer that needs no key.
_PRIVATE = re.compile(
    r"""[a-z][a-z0-9+.-]*://\S+            # URLs, DSNs
      | \(?['"]?[\w.-]+['"]?,?[ ]?:\d{2,5}\b   # host:port
      | \(['"][^'"]*['"],\s*\d+[^)]*\)         # ('127.0.0.1', 5432)
      | \b\d{1,3}(?:\.\d{1,3}){3}\b            # IPv4
      | (?:[0-9a-f]{0,4}:){2,}[0-9a-f]{0,4}    # IPv6
      | \b\w*(?:password|secret|token)\w*\s*[=:]\s*\S+
      | (?<![\w.])/(?:[\w.-]+/)+[\w.-]*        # paths
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MESSAGE_CHARS = 200


class Checked(Protocol):
    """The part of an app that readiness needs."""

    @property
    def name(self) -> str: ...

    def checks(self) -> Mapping[str, Check]: ...


@dataclass
class State:
    """What the process knows of itself: which apps run, and whether it is on its way out.

    The lifecycle adds an app's name to `running` once its `run()` has come up, and takes it out when it ends.
    """

    running: set[str] = field(default_factory=set)
    stopping: bool = False


@dataclass(frozen=True)
class CheckResult:
    """One line of `/readyz`."""

    name: str
    state: CheckState
    message: str | None = None


def public_message(error: BaseException) -> str:
    """Why a check failed, without hosts, paths or secrets."""
    if isinstance(error, TimeoutError):
        return f"no answer within {CHECK_TIMEOUT_SECONDS:g} s"
    if isinstance(error, OSError):
        return "cannot be reached"
    first_line = (str(error) or type(error).__name__).splitlines()[0]
    return _PRIVATE.sub("…", first_line)[:_MESSAGE_CHARS]


class Readiness:
    """Runs every app's checks, all at once, each with a timeout, and remembers the outcome for a second."""

    def __init__(self, apps: Sequence[Checked], state: State, clock: Callable[[], float] = time.monotonic) -> None:
        self._apps = apps
        self._state = state
        self._clock = clock
        self._lock = asyncio.Lock()
        self._results: list[CheckResult] = []
        self._expires = float("-inf")

    async def report(self) -> tuple[bool, dict[str, Any]]:
        """Whether requests would work, and the body that says which check holds."""
        async with self._lock:
            if self._clock() >= self._expires:
                self._results = await self._run()
                self._expires = self._clock() + CACHE_SECONDS
        ready = not self._state.stopping and all(result.state == "ok" for result in self._results)
        status = "stopping" if self._state.stopping else "ready" if ready else "not ready"
        checks = [
            {"name": result.name, "state": result.state} | ({"message": result.message} if result.message else {})
            for result in self._results
        ]
        return ready, {"status": status, "checks": checks}

    async def _run(self) -> list[CheckResult]:
        pending: list[Awaitable[CheckResult]] = []
        for app in self._apps:
            if app.name not in self._state.running:
                pending.append(_starting(app.name))
                continue
            pending.extend(_checked(f"{app.name}.{name}", check) for name, check in app.checks().items())
        return list(await asyncio.gather(*pending))


async def _starting(name: str) -> CheckResult:
    return CheckResult(name, "starting", "has not come up yet")


async def _checked(name: str, check: Check) -> CheckResult:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            await check()
    except Exception as error:  # noqa: BLE001 - a check says "not ready" by raising, whatever it raises
        return CheckResult(name, "failed", public_message(error))
    return CheckResult(name, "ok")

"""Health: `/livez` says that the process runs, `/readyz` that its requests would succeed."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, Protocol

from typing_extensions import TypedDict

from chassis.adapters.postgres import PostgresError

CHECK_TIMEOUT_SECONDS = 3.0
"""For one check. Checks have shorter deadlines of their own, with better messages."""
CACHE_SECONDS = 1.0
"""Several probes may run at once; each dependency is checked once a second."""
FAILURE_CACHE_SECONDS = 0.2
"""While something is not ready, which whoever waits for it wants to know sooner."""

Check = Callable[[], Awaitable[Mapping[str, Any] | None]]
"""Raises if the dependency does not work. It may return details for the body of `/readyz`."""
CheckState = Literal["ok", "failed", "starting"]

# `/readyz` needs no key, so that nothing that looks like an address, a path or a secret may be in its body.
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
    """The state of the process: which apps run, and whether it is stopping.

    The lifecycle adds an app's name to `running` once its `run()` has started, and removes it when it ends.
    """

    running: set[str] = field(default_factory=set)
    stopping: bool = False
    failed: bool = False


@dataclass(frozen=True)
class CheckResult:
    """One entry of `checks` in the body of `/readyz`."""

    name: str
    state: CheckState
    message: str | None = None
    details: Mapping[str, Any] | None = None

    def report(self) -> "CheckReport":
        """The entry as plain data; without what is None."""
        report: CheckReport = {"name": self.name, "state": self.state}
        if self.message:
            report["message"] = self.message
        if self.details:
            report["details"] = dict(self.details)
        return report


class CheckReport(TypedDict):
    """One dependency. `details` differ from check to check."""

    name: str
    state: CheckState
    message: NotRequired[str]
    details: NotRequired[dict[str, Any]]


class ReadinessReport(TypedDict):
    """Whether requests would succeed, and the state of each dependency."""

    status: Literal["ready", "not ready", "stopping"]
    checks: list[CheckReport]


class LivenessReport(TypedDict):
    """The process runs."""

    status: Literal["ok"]


def public_message(error: BaseException) -> str:
    """Why a check failed, without hosts, paths or secrets."""
    if isinstance(error, OSError) and not isinstance(error, PostgresError):
        return "cannot be reached"
    first_line = (str(error) or type(error).__name__).splitlines()[0]
    # Cut before as well: the pattern takes seconds for thousands of characters, and an error may quote foreign text.
    return _PRIVATE.sub("…", first_line[: 2 * _MESSAGE_CHARS])[:_MESSAGE_CHARS]


class Readiness:
    """Runs the checks of all apps concurrently, each with a timeout, and caches the results."""

    def __init__(
        self,
        apps: Sequence[Checked],
        state: State,
        *,
        check_timeout_s: float = CHECK_TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._apps = apps
        self._state = state
        self._check_timeout_s = check_timeout_s
        self._clock = clock
        self._lock = asyncio.Lock()
        self._results: list[CheckResult] = []
        self._expires = float("-inf")

    async def report(self) -> tuple[bool, ReadinessReport]:
        """Whether the process is ready, and the body of `/readyz`."""
        async with self._lock:
            if self._clock() >= self._expires:
                self._results = await self._run()
                ok = all(result.state == "ok" for result in self._results)
                self._expires = self._clock() + (CACHE_SECONDS if ok else FAILURE_CACHE_SECONDS)
        ready = not self._state.stopping and all(result.state == "ok" for result in self._results)
        checks = [result.report() for result in self._results]
        if self._state.stopping:
            return False, {"status": "stopping", "checks": checks}
        return ready, {"status": "ready" if ready else "not ready", "checks": checks}

    async def _run(self) -> list[CheckResult]:
        pending: list[Awaitable[CheckResult]] = []
        for app in self._apps:
            if app.name not in self._state.running:
                pending.append(_starting(app.name))
                continue
            pending.extend(self._result(f"{app.name}.{name}", check) for name, check in app.checks().items())
        return list(await asyncio.gather(*pending))

    async def _result(self, name: str, check: Check) -> CheckResult:
        try:
            async with asyncio.timeout(self._check_timeout_s):
                details = await check()
        except TimeoutError:
            return CheckResult(name, "failed", f"no answer within {self._check_timeout_s:g} s")
        except Exception as error:  # noqa: BLE001 - a check may raise whatever its dependency raises
            return CheckResult(name, "failed", public_message(error))
        return CheckResult(name, "ok", details=details)


async def _starting(name: str) -> CheckResult:
    return CheckResult(name, "starting", "has not started yet")

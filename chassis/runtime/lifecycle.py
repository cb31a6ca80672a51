"""The life cycle of a process: HTTP listens first, then every app starts; at the end everything stops in order.

An app that fails ends the process, so that an orchestrator restarts it.
"""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from typing import Any, Protocol

from aiohttp import web

from chassis.adapters.http import server as http
from chassis.adapters.http.connection import HttpLimits
from chassis.adapters.http.health import Check, Readiness, State
from chassis.adapters.http.listener import listening
from chassis.adapters.telemetry import exporting
from chassis.core import logs
from chassis.core.settings import CommonSettings, SettingsError, StartRefused, load
from chassis.runtime.signals import on_signal, run_loop, start_hard_deadline

__all__ = ["App", "Check", "State", "run_loop", "run_main", "serve", "serve_until_signal"]

STOP_TIMEOUT = timedelta(seconds=8)
_CANCEL_SECONDS = 0.5
_READY_POLL_SECONDS = 0.05
EXIT_CRASHED = 1
EXIT_SETTINGS = 2

log = logs.get_logger(__name__)


class App(Protocol):
    """One service. It may also have `error_styles` and `refresh_metrics`: see `chassis.adapters.http.server`.

    An app with a `drain_timeout` that is not 0 also has `drain`: it is called when the process is to stop, and the app
    stops once it has returned.
    """

    @property
    def name(self) -> str: ...

    def routes(self) -> Sequence[web.AbstractRouteDef]: ...

    def checks(self) -> Mapping[str, Check]:
        """Health checks, by the name of the dependency. A check raises if requests would fail."""
        ...

    def run(self) -> AbstractAsyncContextManager[None]:
        """The service works inside the block; on exit it closes in order, within its timeout, what it opened."""
        ...


async def serve(
    apps: Sequence[App],
    *,
    host: str,
    port: int,
    stop: asyncio.Event,
    started: Callable[[str], None] | None = None,
    ready: Callable[[], None] | None = None,
    watch: Sequence[Callable[[], Awaitable[None]]] = (),
    timeout: timedelta = STOP_TIMEOUT,
    limits: HttpLimits | None = None,
) -> None:
    """Serves until `stop` is set; raises the error of an app, or of a `watch`, that ended before.

    `started` is called with the address when HTTP listens, `ready` once, when every app runs and every check passes.
    `watch` are coroutine functions that run beside the apps and return only when something is wrong. `limits` bound how
    long a connection waits for its client. While stopping, the apps have `timeout`, requests get 503, and HTTP closes
    last.
    """
    state = State()
    limits = limits or HttpLimits()
    async with listening(http.make_web_app(apps, state, limits.body_s), host, port, limits) as address:
        log.info("http_listening", address=address, services=[app.name for app in apps])
        if started is not None:
            started(address)
        up: set[str] = set()
        running = {asyncio.create_task(_run_app(app, state, up, stop), name=app.name): app.name for app in apps}
        others = [asyncio.create_task(_report_ready(apps, state, stop, ready), name="ready")]
        others += [asyncio.create_task(_run_watch(each), name="watch") for each in watch]
        try:
            await asyncio.wait([*running, *others], return_when=asyncio.FIRST_COMPLETED)
        finally:
            state.stopping = True
            # Work is finished when the process is told to stop, and not when a part of it has failed.
            drains = stop.is_set()
            if not drains:
                state.failed = True
            stop.set()
            await _stop_apps(running, up, timeout + (longest_drain(apps) if drains else timedelta(0)))
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        _raise_first_error([*running, *others])
    log.info("process_stopped")


async def serve_until_signal(
    apps: Sequence[App],
    *,
    host: str,
    port: int,
    started: Callable[[str], None] | None = None,
    ready: Callable[[], None] | None = None,
    watch: Sequence[Callable[[], Awaitable[None]]] = (),
    timeout: timedelta = STOP_TIMEOUT,
    limits: HttpLimits | None = None,
    traces: str | None = None,
) -> int:
    """`serve` until SIGINT or SIGTERM; the exit status: 0, or 1 after an error, which is logged.

    Spans go to the OpenTelemetry endpoint `traces` meanwhile, if there is one.
    2 if an app refuses to start on this machine: the reason is printed as well.
    """
    stop = asyncio.Event()
    on_signal(stop.set, within=longest_drain(apps))
    try:
        with exporting(traces):
            await serve(
                apps,
                host=host,
                port=port,
                stop=stop,
                started=started,
                ready=ready,
                watch=watch,
                timeout=timeout,
                limits=limits,
            )
    except StartRefused as error:
        start_hard_deadline()
        print(error, file=sys.stderr)  # noqa: T201 - for the user of the command
        return EXIT_SETTINGS
    except Exception as error:  # noqa: BLE001 - every error was logged where it happened, and ends the process
        start_hard_deadline()
        log.critical("process_failed", error=f"{type(error).__name__}: {error}")
        return EXIT_CRASHED
    return 0


def run_main(
    apps: Sequence[App] | Callable[[], Sequence[App]],
    settings: CommonSettings | None = None,
    *,
    host: str | None = None,
    port: int | None = None,
    limits: HttpLimits | None = None,
) -> int:
    """What `bitmill serve` does: serves the apps until a signal, on uvloop.

    Address, limits, timeout and logs follow `settings` (of the environment, if neither they nor an address are given);
    a wrong setting is printed as a sentence. Returns 0; otherwise the process ends with another status (`SystemExit`).
    """
    timeout, traces = STOP_TIMEOUT, None
    try:
        if settings is None and host is None:
            settings = load(CommonSettings)
        if settings is not None:
            logs.configure(settings.log_format, settings.log_level)
            host, port, timeout = settings.http_host, settings.http_port, settings.shutdown_timeout
            limits, traces = HttpLimits.of(settings), settings.traces_endpoint
        built = apps() if callable(apps) else apps
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - for the user of the command
        raise SystemExit(EXIT_SETTINGS) from None
    serving = serve_until_signal(
        built, host=host or "127.0.0.1", port=port or 0, timeout=timeout, limits=limits, traces=traces
    )
    status = run_loop(serving)
    if status:
        raise SystemExit(status)
    return status


async def _run_app(app: App, state: State, up: set[str], stop: asyncio.Event) -> None:
    with logs.bind_context(service=app.name):
        log.info("service_starting")
        try:
            async with app.run():
                up.add(app.name)
                state.running.add(app.name)
                log.info("service_started")
                try:
                    await stop.wait()
                    if not state.failed:
                        await _drain(app)
                finally:
                    # Before its pools close: from here on requests get 503 and not an error.
                    state.running.discard(app.name)
        except StartRefused as error:
            log.critical("service_start_refused", reason=str(error))
            raise
        except Exception:
            log.exception("service_failed")
            raise
        log.info("service_stopped")


def drain_timeout(app: App) -> timedelta:
    """How long the app goes on with work that it has begun, when the process is to stop."""
    timeout: timedelta = getattr(app, "drain_timeout", timedelta(0))
    return timeout


def longest_drain(apps: Sequence[App]) -> timedelta:
    return max(map(drain_timeout, apps), default=timedelta(0))


async def _drain(app: App) -> None:
    if drain_timeout(app):
        log.info("service_draining", seconds=drain_timeout(app).total_seconds())
        drain: Callable[[], Awaitable[None]] = app.drain  # type: ignore[attr-defined]  # see App
        await drain()


async def _run_watch(watch: Callable[[], Awaitable[None]]) -> None:
    try:
        await watch()
    except Exception:
        log.exception("process_dependency_failed")
        raise


async def _report_ready(
    apps: Sequence[App], state: State, stop: asyncio.Event, ready: Callable[[], None] | None
) -> None:
    """Calls `ready` once everything works; ends when the process stops."""
    while not stop.is_set():
        # A new Readiness each time: it caches its result for a second.
        if len(state.running) == len(apps) and (await Readiness(apps, state).report())[0]:
            log.info("process_ready")
            _tune_garbage_collection()
            if ready is not None:
                ready()
            await stop.wait()
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _READY_POLL_SECONDS)


def _tune_garbage_collection() -> None:
    """Excludes everything that is loaded by now from garbage collection, and raises the thresholds.

    A batch of some hundred events has more objects than Python's default threshold (700): collections took a third of
    the processor time of a busy Kafka consumer.
    """
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)


async def _stop_apps(running: Mapping["asyncio.Task[None]", str], up: set[str], timeout: timedelta) -> None:
    for task, name in running.items():
        # Not by `state.running`: an app that is stopping is no longer in it, and must not be cancelled.
        if name not in up:
            # Still starting, perhaps waiting for a database: nothing is open yet that needs an order.
            task.cancel()
    _, late = await asyncio.wait(running, timeout=timeout.total_seconds())
    for task in late:
        log.error("service_stop_timed_out", service=running[task], seconds=timeout.total_seconds())
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=_CANCEL_SECONDS)


def _raise_first_error(tasks: Sequence["asyncio.Task[Any]"]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise error

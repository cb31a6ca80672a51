"""Apps from start to stop, with tiny apps; signals with real processes."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from chassis.core.concurrency import TaskSupervisor
from chassis.core.settings import SettingsError, StartRefused
from chassis.runtime.lifecycle import Check, run_main, serve
from tests.support.waiting import until


class Fake:
    """An app that comes up when `gate` is set, goes down when `may_stop` is, and writes down what happens to it."""

    def __init__(self, name: str, history: list[str]) -> None:
        self.name = name
        self.history = history
        self.gate = asyncio.Event()
        self.gate.set()
        self.healthy = True
        self.crash = asyncio.Event()
        self.may_stop = asyncio.Event()
        self.may_stop.set()

    def routes(self) -> list[web.RouteDef]:
        async def hello(_: web.Request) -> web.Response:
            return web.Response(text=self.name)

        return [web.get(f"/{self.name}", hello)]

    def checks(self) -> Mapping[str, Check]:
        async def check() -> None:
            if not self.healthy:
                raise RuntimeError("out of order")

        return {"health": check}

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        self.history.append(f"{self.name} starting")
        try:
            await self.gate.wait()
            async with TaskSupervisor() as supervisor:
                supervisor.start(self._background(), "crasher")
                self.history.append(f"{self.name} up")
                yield
                await self.may_stop.wait()
                self.history.append(f"{self.name} in order")
        finally:
            self.history.append(f"{self.name} down")

    async def _background(self) -> None:
        await self.crash.wait()
        raise RuntimeError(f"{self.name} broke")


class Serving:
    """`serve` in a task, and a client for it."""

    def __init__(self, *apps: Fake, timeout: float = 60.0, watch: list[Callable[[], object]] | None = None) -> None:
        self.stop = asyncio.Event()
        self.address = ""
        self.announced = 0
        self._task: asyncio.Task[None] | None = None
        self._apps = apps
        self._timeout = timedelta(seconds=timeout)
        self._watch = watch or []
        self.client = aiohttp.ClientSession()

    def _started(self, address: str) -> None:
        self.address = address

    def _ready(self) -> None:
        self.announced += 1

    async def __aenter__(self) -> "Serving":
        arguments = {"host": "127.0.0.1", "port": 0, "stop": self.stop, "timeout": self._timeout}
        callbacks = {"started": self._started, "ready": self._ready, "watch": self._watch}
        self._task = asyncio.create_task(serve(self._apps, **arguments, **callbacks))  # type: ignore[arg-type]
        await until(lambda: self.address or self.ended.done())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await self.client.close()
        with suppress(Exception):
            await self.ended

    @property
    def ended(self) -> "asyncio.Task[None]":
        assert self._task is not None
        return self._task

    async def status(self, path: str) -> int:
        async with self.client.get(f"{self.address}{path}") as response:
            return response.status

    async def becomes(self, path: str, status: int) -> None:
        async def so() -> bool:
            return await self.status(path) == status

        await until(so)


async def test_http_answers_while_an_app_is_starting() -> None:
    slow = Fake("slow", [])
    quick = Fake("quick", slow.history)
    slow.gate.clear()
    async with Serving(slow, quick) as serving:
        await serving.becomes("/quick", 200)
        assert await serving.status("/livez") == 200
        assert await serving.status("/readyz") == 503
        async with serving.client.get(f"{serving.address}/slow") as response:
            assert (response.status, (await response.json())["kind"]) == (503, "unavailable")
            assert "Retry-After" in response.headers
        assert serving.announced == 0
        slow.gate.set()
        await until(lambda: serving.announced)
        await serving.becomes("/readyz", 200)
        assert await serving.status("/slow") == 200


async def test_ready_is_announced_once_and_only_when_every_check_passes() -> None:
    app = Fake("app", [])
    app.healthy = False
    async with Serving(app) as serving:
        await serving.becomes("/app", 200)
        assert await serving.status("/readyz") == 503
        app.healthy = True
        await until(lambda: serving.announced)
        app.healthy = False
        await serving.becomes("/readyz", 503)
        assert serving.announced == 1


async def test_stop_puts_every_app_down_and_then_closes_http() -> None:
    history: list[str] = []
    slow = Fake("one", history)
    slow.may_stop.clear()
    async with Serving(slow, Fake("two", history)) as serving:
        await until(lambda: serving.announced)
        serving.stop.set()
        # Requests to the app that still stops get 503, because HTTP closes last.
        await serving.becomes("/one", 503)
        await until(lambda: "two down" in history)
        slow.may_stop.set()
        await asyncio.wait_for(serving.ended, 60)
        with pytest.raises(aiohttp.ClientConnectionError):
            await serving.status("/livez")
    assert sorted(history[:4]) == ["one starting", "one up", "two starting", "two up"]
    # In order: no app was cancelled.
    assert history[4:] == ["two in order", "two down", "one in order", "one down"]


async def test_an_app_that_still_comes_up_is_stopped_as_well() -> None:
    app = Fake("app", [])
    app.gate.clear()
    async with Serving(app) as serving:
        await until(lambda: app.history)
        serving.stop.set()
        await asyncio.wait_for(serving.ended, 60)
    assert app.history == ["app starting", "app down"]


async def test_an_app_that_does_not_stop_in_time_is_cut_off() -> None:
    app = Fake("app", [])
    app.may_stop.clear()
    async with Serving(app, timeout=0.2) as serving:
        await until(lambda: serving.announced)
        serving.stop.set()
        await asyncio.wait_for(serving.ended, 60)
    assert app.history[-1] == "app down"


async def test_a_background_task_that_dies_takes_everything_down_with_its_error() -> None:
    history: list[str] = []
    broken, fine = Fake("broken", history), Fake("fine", history)
    async with Serving(broken, fine) as serving:
        await until(lambda: serving.announced)
        broken.crash.set()
        with pytest.raises(RuntimeError, match="broken broke"):
            await asyncio.wait_for(serving.ended, 60)
    assert {"broken down", "fine down"} <= set(history)


async def test_an_app_that_cannot_start_takes_everything_down_with_its_error() -> None:
    class Unable(Fake):
        @asynccontextmanager
        async def run(self) -> AsyncIterator[None]:
            raise OSError("no such database")
            yield

    fine = Fake("fine", [])
    async with Serving(Unable("unable", []), fine) as serving:
        with pytest.raises(OSError, match="no such database"):
            await asyncio.wait_for(serving.ended, 60)
    assert fine.history[-1] == "fine down"


async def test_the_end_of_what_is_watched_is_the_end_of_all() -> None:
    gone = asyncio.Event()

    async def watch() -> None:
        await gone.wait()
        raise RuntimeError("Kafka ended")

    app = Fake("app", [])
    async with Serving(app, watch=[watch]) as serving:
        await until(lambda: serving.announced)
        gone.set()
        with pytest.raises(RuntimeError, match="Kafka ended"):
            await asyncio.wait_for(serving.ended, 60)
    assert app.history[-1] == "app down"


async def test_tasks_are_stopped_in_the_opposite_order_of_their_start() -> None:
    history: list[str] = []

    async def task(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            history.append(name)

    async with TaskSupervisor() as supervisor:
        for name in ("relay", "runner", "consumer"):
            supervisor.start(task(name), name)
        await asyncio.sleep(0)
    assert history == ["consumer", "runner", "relay"]


async def test_a_task_that_fails_while_it_is_stopped_is_heard() -> None:
    async def task() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("could not close")

    with pytest.raises(ValueError, match="could not close"):
        async with TaskSupervisor() as supervisor:
            supervisor.start(task(), "closer")
            await asyncio.sleep(0)


async def test_a_block_that_was_ended_by_its_task_leaves_its_owner_uncancelled() -> None:
    async def fails() -> None:
        raise ValueError("at once")

    with pytest.raises(ValueError, match="at once"):
        async with TaskSupervisor() as supervisor:
            supervisor.start(fails(), "short")
            await asyncio.Event().wait()
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


def test_a_wrong_setting_ends_the_start_with_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def wrong() -> list[Fake]:
        raise SettingsError(["HTTP_PORT must be a whole number (it is 'abc')."])

    with pytest.raises(SystemExit) as ended:
        run_main(wrong, host="127.0.0.1", port=0)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "HTTP_PORT must be a whole number (it is 'abc').\n"


def test_an_app_that_refuses_to_start_ends_the_process_with_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    class Refusing(Fake):
        @asynccontextmanager
        async def run(self) -> AsyncIterator[None]:
            raise StartRefused("ffmpeg is too old. Install a newer one.")
            yield

    with capture_logs() as lines, pytest.raises(SystemExit) as ended:
        run_main([Refusing("app", [])], host="127.0.0.1", port=0)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "ffmpeg is too old. Install a newer one.\n"
    (refused,) = [line for line in lines if line["log_level"] in ("error", "critical")]
    assert refused["event"] == "service_start_refused" and "exc_info" not in refused


PROGRAM = """
import asyncio, sys, time
from contextlib import asynccontextmanager
from chassis.core import logs
from chassis.core.concurrency import TaskSupervisor
from chassis.runtime import signals
from chassis.runtime.lifecycle import run_main

class App:
    name = "app"
    def routes(self): return []
    def checks(self): return {}
    @asynccontextmanager
    async def run(self):
        async with TaskSupervisor() as supervisor:
            if MODE == "crash":
                supervisor.start(self.crash(), "crasher")
            if MODE == "starting":
                print("up", flush=True)
                await asyncio.Event().wait()
            print("up", flush=True)
            yield
            if MODE == "stuck":
                print("stuck", flush=True)
                await asyncio.sleep(60)
            if MODE == "blocked":
                print("blocked", flush=True)
                time.sleep(60)
        print("down", flush=True)
    async def crash(self):
        raise RuntimeError("something broke")

MODE = sys.argv[1]
if MODE == "blocked":
    signals.DEADLINE_SECONDS = 0.5
logs.configure("json", "info")
run_main([App()], host="127.0.0.1", port=0)
"""


def _start(mode: str) -> subprocess.Popen[str]:
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    argv = [sys.executable, "-c", PROGRAM, mode]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=root)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("mode", ["well", "starting"])
def test_the_first_signal_stops_in_order_with_status_0(mode: str, number: int) -> None:
    with _start(mode) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "down\n" if mode == "well" else ""), err


def test_the_second_signal_ends_at_once() -> None:
    with _start("stuck") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "stuck\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    # One that is ended at the deadline of the stop has status 1, one that stops in order 0.
    assert process.returncode == 128 + signal.SIGINT


def test_a_stop_that_hangs_is_ended_at_the_deadline() -> None:
    with _start("blocked") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "shutdown_deadline_exceeded" in err


def test_a_crash_ends_with_status_1_and_says_what_broke() -> None:
    with _start("crash") as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    crashed = [line for line in err.splitlines() if '"event":"service_failed"' in line]
    assert len(crashed) == 1
    assert '"service":"app"' in crashed[0]
    assert "something broke" in crashed[0]


def test_a_port_that_is_taken_is_said() -> None:
    threads = threading.active_count()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SystemExit) as ended:
            run_main([], host="127.0.0.1", port=taken.getsockname()[1])
    assert ended.value.code == 1
    # No deadline may be left running: it would end the calling process.
    deadline = time.monotonic() + 60
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= threads

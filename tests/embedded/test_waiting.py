"""A start may take as long as it makes progress: no limit on time, but one on standing still."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from embedded import EmbeddedServer, EmbeddedServerError, process
from embedded.waiting import Activity, Progress, ProgressLimits, StandstillDetector, activity, wait_while_it_progresses
from tests.support.waiting import until

_LIMITS = ProgressLimits()
_LOG = Path("server.log")


class FakeTime:
    """A clock that only `sleep` advances, by one second at a time."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += 1.0


async def _wait(time: FakeTime, ready_at: float, sample: Callable[[float], Activity]) -> list[str]:
    """Wait for a server that is ready at `ready_at`; the lines that the user sees."""
    lines: list[str] = []

    async def is_done() -> bool:
        return time.now >= ready_at

    await wait_while_it_progresses(
        *("Kafka", _LOG, is_done, lambda: sample(time.now), lines.append, _LIMITS),
        clock=time.clock,
        sleep=time.sleep,
    )
    return lines


@pytest.mark.parametrize(
    "sample",
    [
        lambda now: Activity(log_bytes=int(now)),
        lambda now: Activity(busy_seconds=now * 0.06),
        lambda now: Activity(io_bytes=int(now) * 10_000),
        lambda now: Activity(waits_for_disk=int(now) % 100 == 0),
    ],
    ids=["its log grows", "it computes or wants to", "it reads or writes", "it waits for the disk"],
)
async def test_a_start_of_an_hour_is_waited_for_while_there_is_progress(sample: Callable[[float], Activity]) -> None:
    lines = await _wait(FakeTime(), 3600, sample)
    assert lines[0] == "Kafka is still starting after 15 s; its log: server.log"
    assert len(lines) == 3600 / 15 - 1


@pytest.mark.parametrize(
    "sample",
    [lambda now: Activity(), lambda now: Activity(busy_seconds=now * 0.02, io_bytes=int(now) * 1000)],
    ids=["nothing", "what an idle JVM does"],
)
async def test_a_start_that_stands_still_is_given_up(sample: Callable[[float], Activity]) -> None:
    time = FakeTime()
    with pytest.raises(EmbeddedServerError, match=r"Kafka was not ready after 120 s and has made no progress for 120 "):
        await _wait(time, 3600, sample)
    assert time.now == 120


def test_the_time_at_a_standstill_counts_from_the_last_progress() -> None:
    detector = StandstillDetector(_LIMITS, 0.0, Activity())
    assert not detector.stands_still(119.0, Activity(log_bytes=1))
    assert not detector.stands_still(238.0, Activity(log_bytes=1))
    assert detector.stands_still(239.0, Activity(log_bytes=1))


class StubServer(EmbeddedServer):
    """A program that prints 20 lines, one each 0.1 s, before it is ready; or one that does nothing for ever."""

    name = "Stub"

    def __init__(self, data_dir: Path, code: str, limits: ProgressLimits) -> None:
        super().__init__(data_dir, limits=limits)
        self._code = code

    async def _open(self, progress: Progress) -> str:
        self._home.mkdir(parents=True, exist_ok=True)
        await self._start(process.Command("stub", [sys.executable, "-c", self._code], self._log, cwd=self._home))
        return "stub"

    async def _reopen(self) -> None:
        raise NotImplementedError

    async def _is_ready(self, child: process.ChildProcess) -> bool:
        return (self._home / "ready").exists()


async def test_a_slow_server_is_waited_for_and_the_user_is_told(tmp_path: Path) -> None:
    slow = "import time\nfor n in range(20): print(n, flush=True); time.sleep(0.1)\nopen('ready', 'w'); time.sleep(600)"
    lines: list[str] = []
    async with StubServer(tmp_path, slow, ProgressLimits(notice_seconds=0.3)).running(lines.append) as address:
        assert address == "stub"
    assert lines
    assert all(line.startswith("Stub is still starting after ") and line.endswith("stub.log") for line in lines)


async def test_a_server_that_hangs_is_given_up_and_ended(tmp_path: Path) -> None:
    server = StubServer(
        tmp_path, "import time; time.sleep(600)", ProgressLimits(standstill_seconds=1.0, sample_seconds=0.1)
    )
    with pytest.raises(EmbeddedServerError, match=r"Stub was not ready after \d+ s and has made no progress for 1 s"):
        async with server.running(lambda line: None):
            pass
    assert server.pid is None
    assert not [child for child in psutil.Process().children() if "time.sleep(600)" in " ".join(child.cmdline())]


async def test_a_server_that_finds_the_disk_full_is_reported_in_one_sentence(tmp_path: Path) -> None:
    server = StubServer(
        tmp_path, "import os; os.write(os.open('/dev/full', os.O_WRONLY), b'x')", ProgressLimits()
    )  # fails as on a full disk
    with pytest.raises(EmbeddedServerError) as raised:
        async with server.running(lambda line: None):
            pass
    assert str(raised.value) == (
        f"The disk of {tmp_path} is full: stub could not write. Free 2 GB there, or use a data folder on another disk; "
        f"its log: {tmp_path}/logs/stub.log"
    )


async def test_a_process_and_what_it_starts_count_as_one(tmp_path: Path) -> None:
    busy = "while True: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", parent, start_new_session=True)
    log = tmp_path / "log"
    log.write_text("line")

    def computes() -> bool:
        return activity(child.pid, log).busy_seconds >= 0.5

    try:
        await until(computes, within=120)
        assert activity(child.pid, log).log_bytes == 4
    finally:
        for each in (*psutil.Process(child.pid).children(), psutil.Process(child.pid)):
            each.kill()
        await child.wait()
    assert activity(child.pid, tmp_path / "none") == Activity()

"""Calls through the fork server: results, faults, crashes, limits, and no process left behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from chassis.adapters.failure_policy import classify
from chassis.adapters.sandbox import fork_call
from chassis.adapters.sandbox.confine import SandboxReport
from chassis.adapters.sandbox.fork_server import ForkServer
from chassis.adapters.sandbox.limits import ChildCpuExceeded, ChildDied, ChildDiskFull, ChildTimedOut, Limits
from tests.chassis.adapters.sandbox.support import alive
from tests.support.waiting import until

FUNCTIONS = "tests.chassis.adapters.sandbox.sandboxed_functions"


class Fault(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[ForkServer]:
    async with ForkServer(FUNCTIONS, fault=Fault) as opened:
        yield opened


async def test_arguments_and_results_are_json(server: ForkServer) -> None:
    value = {"text": "ä\n", "number": 1.5, "list": [None, True]}
    assert await server.call(f"{FUNCTIONS}:echo", value, Limits()) == value


async def test_each_call_is_a_fork_of_the_server(server: ForkServer) -> None:
    first, second = [await server.call(f"{FUNCTIONS}:pids", {}, Limits()) for _ in range(2)]
    assert first[0] == first[2] == second[2] == server.pid
    assert first[1] != second[1]


async def test_a_fault_of_the_function_is_raised_with_its_kind(server: ForkServer) -> None:
    with pytest.raises(Fault, match="not this one") as rejected:
        await server.call(f"{FUNCTIONS}:reject", {}, Limits())
    assert rejected.value.kind == "some_fault"


async def test_a_bug_of_the_function_is_a_dead_child_with_its_message(server: ForkServer) -> None:
    with pytest.raises(ChildDied, match="ValueError: a bug"):
        await server.call(f"{FUNCTIONS}:fail", {}, Limits())


async def test_a_full_disk_that_a_function_finds_is_an_outage(server: ForkServer) -> None:
    with pytest.raises(ChildDiskFull, match="write_to_full_disk") as raised:
        await server.call(f"{FUNCTIONS}:write_to_full_disk", {}, Limits())
    assert classify(raised.value) == "outage"


async def test_a_crash_ends_one_call_and_nothing_else(server: ForkServer) -> None:
    with pytest.raises(ChildDied) as death:
        await server.call(f"{FUNCTIONS}:crash", {}, Limits())
    assert death.value.signal == signal.SIGABRT
    assert await server.call(f"{FUNCTIONS}:echo", {"x": 1}, Limits()) == {"x": 1}


async def test_large_results_are_complete(server: ForkServer) -> None:
    assert len(await server.call(f"{FUNCTIONS}:large", {"size": 900_000}, Limits())) == 900_000


async def test_a_response_that_is_too_large_is_rejected(server: ForkServer) -> None:
    with pytest.raises(ChildDied, match="larger than"):
        await server.call(f"{FUNCTIONS}:large", {"size": fork_call.MAX_RESPONSE_BYTES}, Limits())


async def test_the_message_of_a_fault_is_short_and_printable(server: ForkServer) -> None:
    with pytest.raises(Fault) as rejected:
        await server.call(f"{FUNCTIONS}:reject_with", {"message": "a\0b\ud800c\n" + "x" * 10_000}, Limits())
    assert str(rejected.value).startswith("abcx") and len(str(rejected.value)) <= 500


async def test_calls_run_concurrently(server: ForkServer, tmp_path: Path) -> None:
    """None of the eight returns before all of them run."""
    calls = [
        server.call(
            f"{FUNCTIONS}:wait_for_others",
            {"folder": str(tmp_path), "name": str(number), "count": 8},
            Limits(writable=(tmp_path,)),
        )
        for number in range(8)
    ]
    await asyncio.gather(*calls)


async def test_the_fork_of_a_cancelled_call_is_killed(server: ForkServer, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    args = {"pid_file": str(pid_file), "seconds": 60}
    task = asyncio.create_task(server.call(f"{FUNCTIONS}:sleep", args, Limits(writable=(tmp_path,))))
    await until(lambda: pid_file.exists() and bool(pid_file.read_text()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not alive(int(pid_file.read_text())))


async def test_a_call_that_takes_too_long_is_killed(server: ForkServer, tmp_path: Path) -> None:
    limits = Limits(wall=timedelta(seconds=0.5), writable=(tmp_path,))
    with pytest.raises(ChildTimedOut):
        await server.call(f"{FUNCTIONS}:sleep", {"pid_file": str(tmp_path / "pid"), "seconds": 60}, limits)
    await until(lambda: not alive(int((tmp_path / "pid").read_text())))


async def test_a_call_that_uses_too_much_processor_time_is_killed(server: ForkServer) -> None:
    with pytest.raises(ChildCpuExceeded):
        await server.call(f"{FUNCTIONS}:spin", {}, Limits(cpu_seconds=1))


async def test_a_call_reads_only_allowed_paths(server: ForkServer, protections: SandboxReport, tmp_path: Path) -> None:
    if not protections["landlock"]:
        pytest.skip("this kernel has no Landlock")
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.write_text("mine")
    other.write_text("other")
    limits = Limits(readable=(mine,))
    assert await server.call(f"{FUNCTIONS}:read", {"path": str(mine)}, limits) == "mine"
    for forbidden in (other, Path("/etc/passwd"), Path(__file__)):
        with pytest.raises(ChildDied, match="PermissionError"):
            await server.call(f"{FUNCTIONS}:read", {"path": str(forbidden)}, limits)


async def test_a_call_cannot_connect(server: ForkServer, protections: SandboxReport) -> None:
    if not (protections["seccomp"] or protections["namespaces"] or protections["landlock"] >= 4):
        pytest.skip("this machine has no means to block the network")
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(ChildDied):
        await server.call(f"{FUNCTIONS}:connect", {"port": listener.getsockname()[1]}, Limits())


async def test_a_call_has_no_environment_variables_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "whsec_x")
    async with ForkServer(FUNCTIONS, env={"VIPS_BLOCK_UNTRUSTED": "1"}) as server:
        seen = await server.call(f"{FUNCTIONS}:environment", {}, Limits())
    assert set(seen) <= {"PATH", "LANG", "LC_CTYPE", "BITMILL_CHILD", "VIPS_BLOCK_UNTRUSTED"}


async def test_a_server_that_died_is_replaced() -> None:
    async with ForkServer(FUNCTIONS) as server:
        first = server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: server.pid is None)
        assert await server.call(f"{FUNCTIONS}:echo", {"x": 1}, Limits()) == {"x": 1}
        assert server.pid != first


async def test_stopping_ends_running_calls(tmp_path: Path) -> None:
    server = ForkServer(FUNCTIONS)
    pid_file = tmp_path / "pid"
    args = {"pid_file": str(pid_file), "seconds": 60}
    task = asyncio.create_task(server.call(f"{FUNCTIONS}:sleep", args, Limits(writable=(tmp_path,))))
    await until(lambda: pid_file.exists() and bool(pid_file.read_text()))
    await server.stop()
    with pytest.raises(ChildDied):
        await task
    await until(lambda: not alive(int(pid_file.read_text())))


async def test_a_server_that_cannot_start_reports_why() -> None:
    with pytest.raises(ChildDied, match="no_such_module"):
        await ForkServer("no_such_module").start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a child when its parent ends")
async def test_the_server_and_its_forks_die_when_their_owner_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    owner = textwrap.dedent(f"""
        import asyncio
        from pathlib import Path
        from chassis.adapters.sandbox.limits import Limits
        from chassis.adapters.sandbox.fork_server import ForkServer
        async def main():
            async with ForkServer("{FUNCTIONS}") as server:
                print(server.pid, flush=True)
                args = {{"pid_file": "{pid_file}", "seconds": 60}}
                await server.call("{FUNCTIONS}:sleep", args, Limits(writable=(Path("{tmp_path}"),)))
        asyncio.run(main())
    """)
    root = Path(__file__).parents[4]
    with subprocess.Popen(  # noqa: ASYNC220 - it starts quickly
        [sys.executable, "-c", owner], stdout=subprocess.PIPE, cwd=root, text=True
    ) as process:
        assert process.stdout is not None
        server_pid = int(await asyncio.to_thread(process.stdout.readline))
        await until(lambda: pid_file.exists() and bool(pid_file.read_text()))
        process.kill()
        await until(lambda: not alive(server_pid) and not alive(int(pid_file.read_text())))

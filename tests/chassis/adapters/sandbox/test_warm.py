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

from chassis.adapters.sandbox.confine import SandboxReport
from chassis.adapters.sandbox.errors import ChildDied, ChildTimedOut
from chassis.adapters.sandbox.fork_server import ForkServer
from chassis.adapters.sandbox.limits import Limits
from tests.chassis.adapters.sandbox.processes import alive, until

INSIDE = "tests.chassis.adapters.sandbox.inside"


class Fault(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@pytest.fixture(scope="module")
async def warm() -> AsyncIterator[ForkServer]:
    async with ForkServer(INSIDE, fault=Fault) as opened:
        yield opened


async def test_values_go_in_and_out(warm: ForkServer) -> None:
    value = {"text": "ä\n", "number": 1.5, "list": [None, True]}
    assert await warm.call(f"{INSIDE}:echo", value, Limits()) == value


async def test_each_call_is_a_fork_of_the_server(warm: ForkServer) -> None:
    first, second = [await warm.call(f"{INSIDE}:parent", {}, Limits()) for _ in range(2)]
    assert first[0] == first[2] == second[2] == warm.pid
    assert first[1] != second[1]


async def test_a_refusal_travels_with_its_kind(warm: ForkServer) -> None:
    with pytest.raises(Fault, match="not this one") as refusal:
        await warm.call(f"{INSIDE}:refuse", {}, Limits())
    assert refusal.value.kind == "input_unreadable"


async def test_a_mistake_is_ours_and_named(warm: ForkServer) -> None:
    with pytest.raises(ChildDied, match="ValueError: our own mistake"):
        await warm.call(f"{INSIDE}:fail", {}, Limits())


async def test_a_crash_ends_one_call_and_nothing_else(warm: ForkServer) -> None:
    with pytest.raises(ChildDied) as death:
        await warm.call(f"{INSIDE}:crash", {}, Limits())
    assert death.value.signal == signal.SIGABRT
    assert await warm.call(f"{INSIDE}:echo", {"x": 1}, Limits()) == {"x": 1}


async def test_large_answers_come_whole(warm: ForkServer) -> None:
    assert len(await warm.call(f"{INSIDE}:large", {"size": 3_000_000}, Limits())) == 3_000_000


async def test_many_calls_run_at_the_same_time(warm: ForkServer, tmp_path: Path) -> None:
    began = asyncio.get_running_loop().time()
    limits = Limits(writable=(tmp_path,))
    calls = [warm.call(f"{INSIDE}:sleep", {"told": str(tmp_path / str(n)), "seconds": 1}, limits) for n in range(8)]
    await asyncio.gather(*calls)
    assert asyncio.get_running_loop().time() - began < 5


async def test_a_cancelled_call_s_fork_is_killed(warm: ForkServer, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    args = {"told": str(told), "seconds": 60}
    task = asyncio.create_task(warm.call(f"{INSIDE}:sleep", args, Limits(writable=(tmp_path,))))
    await until(lambda: told.exists() and bool(told.read_text()), "the call has begun")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not alive(int(told.read_text())), "the fork is gone")


async def test_a_call_that_takes_too_long_is_killed(warm: ForkServer, tmp_path: Path) -> None:
    limits = Limits(wall=timedelta(seconds=0.5), writable=(tmp_path,))
    with pytest.raises(ChildTimedOut):
        await warm.call(f"{INSIDE}:sleep", {"told": str(tmp_path / "pid"), "seconds": 60}, limits)
    await until(lambda: not alive(int((tmp_path / "pid").read_text())), "the fork is gone")


async def test_a_call_reads_only_what_is_on_its_list(
    warm: ForkServer, protections: SandboxReport, tmp_path: Path
) -> None:
    if not protections["landlock"]:
        pytest.skip("this kernel has no Landlock")
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.write_text("mine")
    other.write_text("other")
    limits = Limits(readable=(mine,))
    assert await warm.call(f"{INSIDE}:read", {"path": str(mine)}, limits) == "mine"
    for forbidden in (other, Path("/etc/passwd"), Path(__file__)):
        with pytest.raises(ChildDied, match="PermissionError"):
            await warm.call(f"{INSIDE}:read", {"path": str(forbidden)}, limits)


async def test_a_call_reaches_no_listener(warm: ForkServer, protections: SandboxReport) -> None:
    if not (protections["seccomp"] or protections["network_namespace"] or protections["landlock"] >= 4):
        pytest.skip("nothing on this machine can keep a child from the network")
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(ChildDied):
        await warm.call(f"{INSIDE}:connect", {"port": listener.getsockname()[1]}, Limits())


async def test_a_call_sees_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "whsec_x")
    async with ForkServer(INSIDE, env={"VIPS_BLOCK_UNTRUSTED": "1"}) as warm:
        seen = await warm.call(f"{INSIDE}:environment", {}, Limits())
    assert set(seen) <= {"PATH", "LANG", "LC_CTYPE", "BITMILL_CHILD", "VIPS_BLOCK_UNTRUSTED"}


async def test_a_server_that_died_is_replaced() -> None:
    async with ForkServer(INSIDE) as warm:
        first = warm.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: warm.pid is None, "its end is noticed")
        assert await warm.call(f"{INSIDE}:echo", {"x": 1}, Limits()) == {"x": 1}
        assert warm.pid != first


async def test_stopping_ends_calls_that_are_under_way(tmp_path: Path) -> None:
    warm = ForkServer(INSIDE)
    told = tmp_path / "pid"
    args = {"told": str(told), "seconds": 60}
    task = asyncio.create_task(warm.call(f"{INSIDE}:sleep", args, Limits(writable=(tmp_path,))))
    await until(lambda: told.exists() and bool(told.read_text()), "the call has begun")
    await warm.stop()
    with pytest.raises(ChildDied):
        await task
    await until(lambda: not alive(int(told.read_text())), "the fork is gone")


async def test_a_server_that_cannot_start_says_why() -> None:
    with pytest.raises(ChildDied, match="no_such_module"):
        await ForkServer("no_such_module").start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent's life")
async def test_the_server_and_its_forks_die_when_their_owner_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    owner = textwrap.dedent(f"""
        import asyncio
        from pathlib import Path
        from chassis.adapters.sandbox.limits import Limits
        from chassis.adapters.sandbox.fork_server import ForkServer
        async def main():
            async with ForkServer("{INSIDE}") as warm:
                print(warm.pid, flush=True)
                args = {{"told": "{told}", "seconds": 60}}
                await warm.call("{INSIDE}:sleep", args, Limits(writable=(Path("{tmp_path}"),)))
        asyncio.run(main())
    """)
    root = Path(__file__).parents[4]
    with subprocess.Popen(  # noqa: ASYNC220 - starting it is quick
        [sys.executable, "-c", owner], stdout=subprocess.PIPE, cwd=root, text=True
    ) as process:
        assert process.stdout is not None
        server = int(await asyncio.to_thread(process.stdout.readline))
        await until(lambda: told.exists() and bool(told.read_text()), "the call has begun")
        process.kill()
        await until(lambda: not alive(server) and not alive(int(told.read_text())), "server and fork are gone")

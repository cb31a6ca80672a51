"""Calls of two customers through one fork server: neither waits for, hears from, nor writes to the other."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from chassis.adapters.sandbox.fork_server import ForkServer
from chassis.adapters.sandbox.limits import ChildDied, Limits
from tests.chassis.adapters.sandbox.support import alive
from tests.support.waiting import until

FUNCTIONS = "tests.chassis.adapters.sandbox.sandboxed_functions"


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[ForkServer]:
    async with ForkServer(FUNCTIONS) as opened:
        yield opened


async def _start_call(server: ForkServer, folder: Path, name: str, function: str = "sleep") -> asyncio.Task[object]:
    """A call that runs until it is cancelled. Returns once its fork runs."""
    pid_file = folder / name
    args = {"pid_file": str(pid_file), "seconds": 600}
    task = asyncio.create_task(server.call(f"{FUNCTIONS}:{function}", args, Limits(writable=(folder,))))
    await until(lambda: pid_file.exists() and bool(pid_file.read_text()))
    return task


async def _cancel(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_short_call_ends_while_longer_calls_run(server: ForkServer, tmp_path: Path) -> None:
    """One long call was forked before the short one and one while it runs: the short one waits for neither."""
    before = await _start_call(server, tmp_path, "before")
    short = asyncio.create_task(
        server.call(
            f"{FUNCTIONS}:wait_for_others",
            {"folder": str(tmp_path), "name": "short", "count": 3},
            Limits(writable=(tmp_path,), wall=timedelta(seconds=60)),
        )
    )
    await until((tmp_path / "short").exists)
    after = await _start_call(server, tmp_path, "after")
    await short
    assert not before.done() and not after.done()
    await _cancel(before)
    await _cancel(after)


async def test_a_fork_has_no_file_descriptor_of_another_call(server: ForkServer, tmp_path: Path) -> None:
    running = await _start_call(server, tmp_path, "pid")
    found = await server.call(f"{FUNCTIONS}:open_descriptors", {}, Limits())
    assert found == {"0": "other", "1": "other", "2": "pipe", "3": "socket"}
    await _cancel(running)


async def test_two_forks_share_no_pipe_and_no_socket(server: ForkServer, tmp_path: Path) -> None:
    """Seen from outside, in /proc."""
    calls = [await _start_call(server, tmp_path, name) for name in ("first", "second")]
    first, second = (
        {os.readlink(fd) for fd in Path(f"/proc/{(tmp_path / name).read_text()}/fd").iterdir()}
        for name in ("first", "second")
    )
    assert first & second == {"/dev/null"}
    for call in calls:
        await _cancel(call)


async def test_a_fork_cannot_forge_the_result_of_another_call(server: ForkServer, tmp_path: Path) -> None:
    innocent = asyncio.create_task(
        server.call(
            f"{FUNCTIONS}:wait_for_others",
            {"folder": str(tmp_path), "name": "innocent", "count": 2},
            Limits(writable=(tmp_path,)),
        )
    )
    await until((tmp_path / "innocent").exists)
    assert await server.call(f"{FUNCTIONS}:forge", {"value": "forged", "seconds": 0}, Limits()) == []
    (tmp_path / "release").touch()
    assert await innocent is None


async def test_what_a_fork_writes_to_standard_error_is_shown_for_its_own_call_only(server: ForkServer) -> None:
    with pytest.raises(ChildDied, match="of the first customer"):
        await server.call(f"{FUNCTIONS}:print_error_and_crash", {"text": "of the first customer"}, Limits())
    with pytest.raises(ChildDied) as death:
        await server.call(f"{FUNCTIONS}:crash", {}, Limits())
    assert "first customer" not in str(death.value)


async def test_a_fork_that_floods_its_standard_error_stops_nobody(server: ForkServer) -> None:
    assert await server.call(f"{FUNCTIONS}:flood_stderr", {"size": 1_000_000}, Limits()) == "done"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("", "status 0"),
        ("00" * 7, "status 0"),
        ((100).to_bytes(8, "big").hex() + "7b", "status 0"),
        ("ff" * 8, "larger than"),
        ((2).to_bytes(8, "big").hex() + "5b5d", "not an object"),
        ((2).to_bytes(8, "big").hex() + "7b7b", "not JSON"),
        ((2).to_bytes(8, "big").hex() + "fffe", "not JSON"),
        ((100_000).to_bytes(8, "big").hex() + "5b" * 100_000, "not JSON"),
    ],
)
async def test_a_malformed_response_is_a_dead_child(server: ForkServer, raw: str, message: str) -> None:
    with pytest.raises(ChildDied, match=message):
        await server.call(f"{FUNCTIONS}:write_raw_response", {"data": raw}, Limits())


async def test_a_call_ends_at_the_end_of_its_response_and_its_fork_is_killed(
    server: ForkServer, tmp_path: Path
) -> None:
    """A fork that has sent its response and stays is not waited for."""
    pid_file = tmp_path / "pid"
    response = json.dumps({"value": 1}).encode()
    args = {"pid_file": str(pid_file), "data": (len(response).to_bytes(8, "big") + response).hex()}
    assert await server.call(f"{FUNCTIONS}:answer_and_stay", args, Limits(writable=(tmp_path,))) == 1
    await until(lambda: not alive(int(pid_file.read_text())))


async def test_clients_that_close_while_their_forks_end_do_not_end_the_server() -> None:
    """Each call closes its sockets at the end of its response, which is when its fork ends as well."""
    async with ForkServer(FUNCTIONS) as server:
        first = server.pid
        for _ in range(15):
            calls = [server.call(f"{FUNCTIONS}:echo", {"x": number}, Limits()) for number in range(8)]
            assert await asyncio.gather(*calls) == [{"x": number} for number in range(8)]
        assert server.pid == first


async def test_a_call_to_a_server_that_is_ending_is_served_by_the_next() -> None:
    """The old server's control socket is closed before its end is noticed."""
    async with ForkServer(FUNCTIONS) as ending:
        assert ending.pid is not None
        os.kill(ending.pid, signal.SIGKILL)
        while alive(ending.pid):
            time.sleep(0.01)  # noqa: ASYNC251 - so that the event loop has no time to notice
        assert await ending.call(f"{FUNCTIONS}:echo", {"x": 1}, Limits()) == {"x": 1}

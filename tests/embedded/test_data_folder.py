"""The lock of a data folder, and orphans: stopped when they belong to it, left alone when they only seem to."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from chassis.adapters.sandbox.child import CHILD_ENV_VAR
from embedded import FolderInUse, data_folder, data_id, hold_folder, reap_orphans
from tests.support.processes import killed_process

_IDLE = """
import signal, time
# A shell without job control starts background commands with SIGINT ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.SIG_DFL)
print('started', flush=True)
time.sleep(600)
"""
_IGNORES_SIGTERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{_IDLE}"


@asynccontextmanager
async def _process(program: str, id: str | None) -> AsyncIterator[asyncio.subprocess.Process]:
    env = {"PATH": os.environ["PATH"], **({CHILD_ENV_VAR: id} if id else {})}
    command = (sys.executable, "-I", "-S", "-c", program)
    async with killed_process(*command, env=env, stdout=asyncio.subprocess.PIPE) as process:
        assert process.stdout
        await process.stdout.readline()
        yield process


async def _reap(folder: Path, timeout: float = 60.0) -> list[str]:
    # In a thread, so that the loop can reap the processes that are children of this one.
    return await asyncio.to_thread(reap_orphans, folder, timeout=timeout)


async def test_a_process_with_the_id_of_the_folder_is_stopped_without_a_run_file(tmp_path: Path) -> None:
    async with _process(_IDLE, data_id(tmp_path)) as orphan:
        (name,) = await _reap(tmp_path)
        assert f"({orphan.pid})" in name
        assert await orphan.wait() == -signal.SIGTERM


async def test_an_orphan_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    async with _process(_IGNORES_SIGTERM, data_id(tmp_path)) as orphan:
        await _reap(tmp_path, timeout=0.2)
        assert await orphan.wait() == -signal.SIGKILL


async def test_a_process_of_another_folder_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with _process(_IDLE, data_id(other)) as unrelated:
        assert await _reap(tmp_path) == []
        assert unrelated.returncode is None


@pytest.mark.parametrize("shift", [0.0, 60.0])
async def test_a_run_file_with_the_pid_of_another_process_stops_nothing(tmp_path: Path, shift: float) -> None:
    async with _process(_IDLE, None) as unrelated:
        started = psutil.Process(unrelated.pid).create_time() - shift
        file = data_folder.run_file(tmp_path, "kafka")
        file.parent.mkdir()
        file.write_text(json.dumps({"pid": unrelated.pid, "started": started, "signal": 15}))
        assert await _reap(tmp_path) == []
        assert unrelated.returncode is None
        assert not file.exists()


async def test_a_server_with_a_run_file_is_stopped_with_the_signal_named_there(tmp_path: Path) -> None:
    async with _process(_IDLE, data_id(tmp_path)) as orphan:
        data_folder.write_run_file(tmp_path, "postgres", orphan.pid, signal.SIGINT)
        assert len(await _reap(tmp_path)) == 1
        assert await orphan.wait() == -signal.SIGINT


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": "x"}', '{"pid": 99999999, "started": 1, "signal": 15}'])
def test_a_broken_run_file_is_removed(tmp_path: Path, text: str) -> None:
    file = data_folder.run_file(tmp_path, "kafka")
    file.parent.mkdir()
    file.write_text(text)
    assert reap_orphans(tmp_path) == []
    assert not file.exists()


def test_a_folder_is_held_once_and_the_error_names_the_holder(tmp_path: Path) -> None:
    refused = pytest.raises(FolderInUse, match=rf"in use by process {os.getpid()}\. ")
    with hold_folder(tmp_path / "data"), refused, hold_folder(tmp_path / "data"):
        pass
    with hold_folder(tmp_path / "data"):
        pass

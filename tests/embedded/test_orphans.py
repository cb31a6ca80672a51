"""Orphans: ended when they are ours, left alone when they only look like it."""

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

from embedded import CHILD_ENV_VAR, FolderInUse, data_id, hold_folder, reap_orphans
from embedded import orphan_reaper as orphans

_IDLE = "import sys, time; print('up', flush=True); time.sleep(600)"
_DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {_IDLE}"


@asynccontextmanager
async def _process(program: str, mark: str | None) -> AsyncIterator[asyncio.subprocess.Process]:
    env = {"PATH": os.environ["PATH"], **({CHILD_ENV_VAR: mark} if mark else {})}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", program, env=env, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    await process.stdout.readline()
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _reap(folder: Path, patience: float = 5.0) -> list[str]:
    # In a thread, so that the loop can bury the processes that are children of this one.
    return await asyncio.to_thread(reap_orphans, folder, patience=patience)


async def test_a_process_with_the_mark_of_the_folder_is_ended_without_a_run_file(tmp_path: Path) -> None:
    async with _process(_IDLE, data_id(tmp_path)) as orphan:
        (name,) = await _reap(tmp_path)
        assert f"({orphan.pid})" in name
        assert await orphan.wait() == -signal.SIGTERM


async def test_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    async with _process(_DEAF, data_id(tmp_path)) as orphan:
        await _reap(tmp_path, patience=0.2)
        assert await orphan.wait() == -signal.SIGKILL


async def test_a_process_of_another_folder_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with _process(_IDLE, data_id(other)) as alien:
        assert await _reap(tmp_path) == []
        assert alien.returncode is None


@pytest.mark.parametrize("shift", [0.0, 60.0])
async def test_a_run_file_whose_number_belongs_to_somebody_else_ends_nobody(tmp_path: Path, shift: float) -> None:
    async with _process(_IDLE, None) as alien:
        started = psutil.Process(alien.pid).create_time() - shift
        file = orphans.run_file(tmp_path, "kafka")
        file.parent.mkdir()
        file.write_text(json.dumps({"pid": alien.pid, "started": started, "signal": 15}))
        assert await _reap(tmp_path) == []
        assert alien.returncode is None
        assert not file.exists()


async def test_a_noted_server_is_stopped_with_the_signal_it_likes(tmp_path: Path) -> None:
    async with _process(_IDLE, data_id(tmp_path)) as orphan:
        orphans.remember(tmp_path, "postgres", orphan.pid, signal.SIGINT)
        assert len(await _reap(tmp_path)) == 1
        assert await orphan.wait() in (-signal.SIGINT, 1)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": "x"}', '{"pid": 99999999, "started": 1, "signal": 15}'])
def test_a_broken_run_file_is_swept_away(tmp_path: Path, text: str) -> None:
    file = orphans.run_file(tmp_path, "kafka")
    file.parent.mkdir()
    file.write_text(text)
    assert reap_orphans(tmp_path) == []
    assert not file.exists()


def test_a_folder_is_held_once_and_the_refusal_names_the_holder(tmp_path: Path) -> None:
    refused = pytest.raises(FolderInUse, match=rf"in use by process {os.getpid()}\. ")
    with hold_folder(tmp_path / "data"), refused, hold_folder(tmp_path / "data"):
        pass
    with hold_folder(tmp_path / "data"):
        pass

"""Child processes that do not outlive this process.

Three mechanisms, each for the case that the one before failed: `ChildProcess.stop`; the signal that the kernel sends
when the parent ends (Linux, `exec_wrapper`); and `data_folder.reap_orphans` at the next start on the same folder.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chassis.adapters.sandbox.child import CHILD_ENV_VAR
from chassis.adapters.sandbox.limits import says_disk_full
from embedded import exec_wrapper
from embedded.data_folder import data_id, remove_run_file, write_run_file
from embedded.errors import DiskFull, EmbeddedServerError
from embedded.waiting import Progress, ProgressLimits, activity, wait_while_it_progresses

_TAIL_BYTES = 4096
_TAIL_LINES = 12

FULL_BYTES = 64 * 1024 * 1024
"""With less free space a server that ended is taken to have ended for it: both write some megabytes ahead."""


@dataclass(frozen=True)
class User:
    """The account under which a program runs that refuses to run as root."""

    uid: int
    gid: int


@dataclass(frozen=True)
class FolderArgument:
    """An argument that names a folder, with `prefix` before it (`option=`, for example).

    On Linux the command gets it as an open descriptor. Its `user` can use that also below a folder that only its owner
    may enter, and no character of the folder's name can mean something else to the command.
    """

    path: Path
    prefix: str = ""


@dataclass(frozen=True)
class Command:
    """A command line, its stop signal, and where its output goes (`log`). `name` is also that of its run file."""

    name: str
    argv: Sequence[str | FolderArgument]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    env: Mapping[str, str] | None = None
    user: User | None = None
    cwd: Path | None = None


class ChildProcess:
    """A running command. Made by `start`."""

    def __init__(self, command: Command, data_dir: Path, process: asyncio.subprocess.Process) -> None:
        self.command = command
        self._data_dir = data_dir
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait for its end; returns the exit status, or minus the number of the signal that ended it."""
        return await self._process.wait()

    def exit_error(self) -> EmbeddedServerError:
        """The error to raise once it has ended unasked: its status and the last lines of its log, or a full disk."""
        # A server that cannot write says so in its log, where that lies on another disk or was written before.
        if is_full(self._data_dir) or says_disk_full(tail(self.command.log)):
            return DiskFull(
                f"The disk of {self._data_dir} is full: {self.command.name} could not write. Free 2 GB there, or use a "
                f"data folder on another disk; its log: {self.command.log}"
            )
        return EmbeddedServerError(
            f"{self.command.name} ended with status {self._process.returncode}. The end of {self.command.log}:\n"
            + tail(self.command.log)
        )

    async def stop(self, timeout: float) -> None:
        """Send the stop signal, and SIGKILL to its whole process group after `timeout` seconds."""
        try:
            if self.running:
                self._process.send_signal(self.command.stop_signal)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._process.wait(), timeout)
        finally:
            # Also when this task is cancelled; and for processes that the server started and left in its group.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()
        remove_run_file(self._data_dir, self.command.name)


async def start(command: Command, data_dir: Path) -> ChildProcess:
    """Start a command in a session of its own: Ctrl-C reaches only this process, which then stops its children."""
    options = {
        "parent": os.getpid(),
        "signal": int(command.stop_signal),
        "user": {"uid": command.user.uid, "gid": command.user.gid} if command.user else None,
    }
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("ab") as log, _open_folders(command) as (argv, descriptors):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            exec_wrapper.__file__,
            json.dumps(options),
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=descriptors,
            cwd=command.cwd,
            env={**_base_env(), **(command.env or {}), CHILD_ENV_VAR: data_id(data_dir)},
        )
    child = ChildProcess(command, data_dir, process)
    try:
        write_run_file(data_dir, command.name, process.pid, command.stop_signal)
    except OSError:
        # On a full disk. Nobody could stop the process later.
        await child.stop(timeout=0)
        raise
    return child


async def run_once(command: Command, data_dir: Path, progress: Progress, limits: ProgressLimits) -> None:
    """Run a command to its end. `EmbeddedServerError` at a standstill or with another status than 0."""
    child = await start(command, data_dir)
    try:

        async def has_ended() -> bool:
            return not child.running

        sample = partial(activity, child.pid, command.log)
        await wait_while_it_progresses(command.name, command.log, has_ended, sample, progress, limits)
        status = await child.wait()
    finally:
        await child.stop(timeout=1.0)
    if status != 0:
        raise child.exit_error()


def is_full(folder: Path, least_bytes: int = FULL_BYTES) -> bool:
    """Whether the disk of `folder` has less space than servers need to work."""
    return shutil.disk_usage(folder).free < least_bytes


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return "(no output)"
    return "\n".join(text.splitlines()[-lines:]) or "(no output)"


@contextmanager
def _open_folders(command: Command) -> Iterator[tuple[list[str], list[int]]]:
    """The command's words, and the descriptors that they refer to; closed here once the child has inherited them."""
    argv: list[str] = []
    descriptors: list[int] = []
    try:
        for word in command.argv:
            if isinstance(word, str):
                argv.append(word)
            elif sys.platform != "linux":
                argv.append(f"{word.prefix}{word.path}")
            else:
                descriptors.append(os.open(word.path, os.O_RDONLY | os.O_DIRECTORY))
                argv.append(f"{word.prefix}/proc/self/fd/{descriptors[-1]}")
        yield argv, descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _base_env() -> dict[str, str]:
    # A fixed language, so that logs are the same everywhere; no variables that configure a server (PG*, JAVA_*).
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "TZ", "HOME") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8"}

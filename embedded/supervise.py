"""Server processes that must not outlive us.

Three nets, one below the other: an orderly stop; the kernel's signal on our death (Linux); and the next start on the
same folder, which ends what it finds (`embedded.orphan_reaper`).
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from embedded import launch
from embedded import orphan_reaper as orphans
from embedded.errors import EmbeddedServerError

_TAIL_BYTES = 4096
_TAIL_LINES = 12


@dataclass(frozen=True)
class User:
    """Whom a server runs as where root must not run it."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Command:
    """A server's command line and how it likes to be stopped. Its output goes to `log`."""

    name: str
    argv: Sequence[str]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    env: Mapping[str, str] | None = None
    user: User | None = None
    cwd: Path | None = None


class Child:
    """One running server. Made by `start`."""

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

    def died(self) -> EmbeddedServerError:
        """The error to raise when the server ended by itself: a sentence, and the last lines of its log."""
        return EmbeddedServerError(
            f"{self.command.name} ended with status {self._process.returncode}. The end of {self.command.log}:\n"
            + tail(self.command.log)
        )

    async def watch(self) -> None:
        """Wait for the server to end by itself, and raise that."""
        await self._process.wait()
        raise self.died()

    async def stop(self, patience: float) -> None:
        """Ask it to stop, and kill its whole process group when it has not after `patience` seconds."""
        try:
            if self.running:
                self._process.send_signal(self.command.stop_signal)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._process.wait(), patience)
        finally:
            # Also when we are being cancelled ourselves; and for helpers that the server left in its group.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()
        orphans.forget(self._data_dir, self.command.name)


async def start(command: Command, data_dir: Path) -> Child:
    """Start a server in a session of its own, so that Ctrl-C reaches us alone and we stop it in order."""
    wish = {
        "parent": os.getpid(),
        "signal": int(command.stop_signal),
        "user": {"uid": command.user.uid, "gid": command.user.gid} if command.user else None,
    }
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            launch.__file__,
            json.dumps(wish),
            *command.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=command.cwd,
            env={**_base_env(), **(command.env or {}), orphans.CHILD_ENV_VAR: orphans.data_id(data_dir)},
        )
    orphans.remember(data_dir, command.name, process.pid, command.stop_signal)
    return Child(command, data_dir, process)


async def run_once(command: Command, data_dir: Path, timeout: float) -> None:
    """Run a program to its end; `EmbeddedServerError` with the last lines of its log where that is not status 0."""
    child = await start(command, data_dir)
    try:
        status = await asyncio.wait_for(child._process.wait(), timeout)
    except TimeoutError:
        raise EmbeddedServerError(f"{command.name} did not finish within {timeout:g} s; see {command.log}") from None
    finally:
        await child.stop(patience=1.0)
    if status != 0:
        raise child.died()


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return "(no output)"
    return "\n".join(text.splitlines()[-lines:]) or "(no output)"


def _base_env() -> dict[str, str]:
    # A fixed language, so that logs read the same everywhere; nothing of ours that a server might obey (PG*, JAVA_*).
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "TZ", "HOME") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8"}

"""Runs one program as a confined child process, limited in time and memory, and kills it with all it started."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chassis.adapters.sandbox import exec_wrapper
from chassis.adapters.sandbox.confine import SandboxReport, SandboxSpec
from chassis.adapters.sandbox.limits import ChildCpuExceeded, ChildDied, Limits
from chassis.adapters.sandbox.program import find
from chassis.adapters.sandbox.usage import SAMPLE_SECONDS, excess, measure
from chassis.adapters.sandbox.watchdog import Watchdog

CHILD_ENV_VAR = "BITMILL_CHILD"
"""Environment variable that marks children, so that orphans of a killed process are found; callers set its value."""
STDOUT_BYTES = 1024 * 1024
STDERR_BYTES = 8 * 1024
"""How often the processor time of a child is read."""
_CPU_MARGIN_SECONDS = 2 + 2 * (os.cpu_count() or 1)
"""The kernel's limit is so much above ours: a program may handle the kernel's signal, and end with a status that does
not say why."""
_EXEC_WRAPPER = str(Path(exec_wrapper.__file__))

OnLine = Callable[[str], bool | None]
"""Called with each line of stdout. It returns False for a line that is no progress, so that the child may stall."""


@dataclass(frozen=True)
class Finished:
    """A child that ended. A negative `returncode` is minus the signal that ended it; the outputs are truncated."""

    returncode: int
    stdout: bytes
    stderr_tail: str
    seconds: float


def _spec(limits: Limits, executable: Sequence[str]) -> SandboxSpec:
    return SandboxSpec(
        parent_pid=os.getpid(),
        memory_bytes=limits.memory_bytes,
        cpu_seconds=limits.cpu_seconds + _CPU_MARGIN_SECONDS,
        file_bytes=limits.file_bytes,
        open_files=limits.open_files,
        readable=[str(path.absolute()) for path in limits.readable],
        writable=[str(path.absolute()) for path in limits.writable],
        executable=list(executable),
        namespaces=True,
        system_calls="one_program",
    )


def wrapper_command(spec: SandboxSpec) -> list[str]:
    """The command that confines itself and executes the command that is appended to it."""
    return [sys.executable, "-I", "-S", _EXEC_WRAPPER, json.dumps(spec)]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The complete environment of a child: no variable of ours, because those may be secrets."""
    return {"PATH": os.defpath, "LANG": "C.UTF-8", CHILD_ENV_VAR: "1", **(extra or {})}


def kill_group(pid: int) -> None:
    """Sends SIGKILL to the process group of `pid`. Not SIGTERM, which a child may ignore."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


class _Child(asyncio.SubprocessProtocol):
    """Receives the output: calls `on_line`, keeps the first bytes of stdout and the last of stderr."""

    def __init__(self, on_line: OnLine | None) -> None:
        loop = asyncio.get_running_loop()
        self._on_line = on_line
        self._line = b""
        self.stdout = bytearray()
        self.stderr = b""
        self.last_progress = time.monotonic()
        self.exited: asyncio.Future[None] = loop.create_future()
        """Done when the child has ended (processes it started may still hold its pipes), or with the exception of
        `on_line`."""
        self.closed: asyncio.Future[None] = loop.create_future()
        """Done when no process holds its pipes any more."""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.stderr = (self.stderr + data)[-STDERR_BYTES:]
            return
        self.stdout += data[: max(STDOUT_BYTES - len(self.stdout), 0)]
        *lines, self._line = (self._line + data).split(b"\n")
        self._line = self._line[-STDOUT_BYTES:]
        progress = [self._on_progress(line) for line in lines]
        if not lines or any(progress):
            self.last_progress = time.monotonic()

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.closed.done():
            self.closed.set_result(None)

    def _on_progress(self, line: bytes) -> bool:
        if self._on_line is None or self.exited.done():
            return True
        try:
            return self._on_line(line.decode("utf-8", "replace")) is not False
        except Exception as error:  # noqa: BLE001 - `run` raises it
            self.exited.set_exception(error)
            return True


async def run(
    argv: Sequence[str],
    limits: Limits,
    *,
    on_stdout_line: OnLine | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Finished:
    """Runs `argv` until it ends, with whatever exit status.

    Raises ChildCpuExceeded, ChildExceeded, ChildTimedOut, ChildStalled, or ChildDied if there is no such program.
    However it ends, also by cancellation or by an exception of `on_stdout_line`, no process of its group is left.
    """
    program = find(argv[0])
    spec = _spec(limits, program.files)
    started = time.monotonic()
    transport, child = await asyncio.get_running_loop().subprocess_exec(
        lambda: _Child(on_stdout_line),
        *wrapper_command(spec),
        program.path,
        *argv[1:],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env=environment(env),
        start_new_session=True,
    )
    pid = transport.get_pid()
    try:
        await _until_exit(child, pid, limits)
    finally:
        kill_group(pid)
        # Short, because all processes are killed. Shielded from a second cancellation, so that the child is reaped.
        await asyncio.shield(child.closed)
        transport.close()
    returncode = transport.get_returncode()
    assert returncode is not None  # noqa: S101 - it has ended
    if returncode == -signal.SIGXCPU:
        # Of the kernel, which comes before us where this process was not scheduled for a while.
        raise ChildCpuExceeded(f"it used more than {limits.cpu_seconds} s of processor time")
    if error := excess(measure(pid, limits.writable), limits):
        raise error  # of files that it wrote since the last sample
    return Finished(
        returncode, bytes(child.stdout), child.stderr.decode("utf-8", "replace").strip(), time.monotonic() - started
    )


async def _until_exit(child: _Child, pid: int, limits: Limits) -> None:
    watchdog, cpu_seconds = Watchdog(limits), 0.0
    while not child.exited.done():
        usage = measure(pid, limits.writable)
        cpu_seconds = max(cpu_seconds, usage.cpu_seconds)
        error = watchdog.verdict(time.monotonic(), cpu_seconds, child.last_progress) or excess(usage, limits)
        if error is not None:
            raise error
        await asyncio.wait([child.exited], timeout=SAMPLE_SECONDS)
    child.exited.result()


async def report(limits: Limits | None = None) -> SandboxReport:
    """Which protections this machine enforces, as reported by a child that applies them to itself."""
    process = await asyncio.create_subprocess_exec(
        *wrapper_command(_spec(limits or Limits(), ())),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise ChildDied(f"the exec wrapper ended with status {process.returncode}")
    enforced: SandboxReport = json.loads(out)
    return enforced

"""A warm server of confined children: expensive modules are loaded once, each call is a fork with limits of its own."""

import asyncio
import json
import os
import socket
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from chassis.adapters.sandbox import child
from chassis.adapters.sandbox import fork_server_main as serve
from chassis.adapters.sandbox.confine import SandboxReport, SandboxSpec
from chassis.adapters.sandbox.errors import ChildDied, ChildTimedOut
from chassis.adapters.sandbox.limits import GIB, Limits

ANSWER_BYTES = 16 * 1024 * 1024
_SERVER = str(Path(serve.__file__))
_ROOT = str(Path(__file__).parents[3])
_START_SECONDS = 60
_STDERR_BYTES = 4096
# Modules imported late by what runs in a fork; the project's own folder is not among them, it may hold data.
_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))

Fault = Callable[[str, str], Exception]
"""Makes the exception for a refusal that a call sent: its kind, its sentence. May refuse kinds it does not know."""


class ForkServer:
    """Calls `module:function` with JSON in and out, each in a fork of its own; any number at the same time.

    `module` and `preload` are imported once, before the first call. Exceptions with a `kind` travel as faults and are
    raised by `fault`. The server starts with the first call (or `start`), and anew after it has died.
    """

    def __init__(
        self,
        module: str,
        preload: Sequence[str] = (),
        *,
        fault: Fault | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._preload = [*preload, module]
        self._fault = fault
        self._env = dict(env or {})
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._control_socket: socket.socket | None = None
        self._errors = b""
        self._draining: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "ForkServer":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Starts the server unless it runs. Raises ChildDied with its last words where it cannot."""
        async with self._starting:
            if self.pid is None:
                await self.stop()
                await self._start()

    async def _start(self) -> None:
        setup = {"path": [_ROOT, *(path for path in sys.path if path)], "preload": self._preload}
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *child.launcher(_server_order()),
                sys.executable,
                "-I",
                _SERVER,
                json.dumps(setup),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=child.environment(self._env),
                start_new_session=True,
            )
        self._control_socket = ours
        self._errors = b""
        self._draining = asyncio.create_task(self._drain(self._process))
        ready = b""
        with suppress(TimeoutError, ConnectionError):
            ready = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(ours, 1), _START_SECONDS)
        if ready != b"+":
            await self.stop()
            raise ChildDied(f"the warm server did not start: {self._errors.decode('utf-8', 'replace')}")

    async def _drain(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        while chunk := await process.stderr.read(_STDERR_BYTES):
            self._errors = (self._errors + chunk)[-_STDERR_BYTES:]

    async def stop(self) -> None:
        """Ends the server and every call that is under way."""
        process, self._process = self._process, None
        if self._control_socket is not None:
            self._control_socket.close()
            self._control_socket = None
        if process is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 2)
            child.kill_group(process.pid)
            await process.wait()
        if self._draining is not None:
            await asyncio.wait([self._draining])
            self._draining = None

    async def call(self, function: str, args: Mapping[str, Any], limits: Limits) -> Any:
        """The value of `function(**args)`, which ran in a confined fork.

        Raises the fault that the function raised, ChildTimedOut, or ChildDied (also for an unexpected exception of
        the function). Cancelling the call kills its fork.
        """
        await self.start()
        assert self._control_socket is not None  # noqa: S101 - the server runs
        ours, theirs = socket.socketpair()
        request = {"function": function, "args": dict(args), "order": _order(limits)}
        with theirs:
            try:
                socket.send_fds(self._control_socket, [b"!"], [theirs.fileno()])
            except OSError as error:
                ours.close()
                raise ChildDied(f"the warm server is gone: {error}") from error
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            async with asyncio.timeout(limits.wall.total_seconds()):
                writer.write(json.dumps(request).encode() + b"\n")
                return self._value(function, await _read_all(reader))
        except TimeoutError:
            raise ChildTimedOut(f"{function} ran longer than {limits.wall.total_seconds():g} s") from None
        finally:
            # The server kills the call's fork when this end is closed.
            writer.transport.abort()

    def _value(self, function: str, data: bytes) -> Any:
        answer, _, ended = data.strip(b"\n").rpartition(b"\n")
        status = json.loads(ended)["exit"] if ended.startswith(b'{"exit"') else None
        if status != 0 or not answer:
            how = "the warm server died" if status is None else f"status {status}"
            raise ChildDied(
                f"{function} ended without an answer: {how}; {self._errors.decode('utf-8', 'replace')[-500:]}",
                signal=-status if status and status < 0 else 0,
            )
        result = json.loads(answer)
        if "fault" in result and self._fault is not None:
            raise self._fault(result["fault"], result["message"])
        if "value" not in result:
            raise ChildDied(f"{function} failed: {result.get('error') or result}")
        return result["value"]

    async def report(self) -> SandboxReport:
        """Which protections hold for the calls, on this machine."""
        return await child.report()


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    data = bytearray()
    while chunk := await reader.read(65536):
        data += chunk
        if len(data) > ANSWER_BYTES:
            raise ChildDied(f"the answer is larger than {ANSWER_BYTES} bytes")
    return bytes(data)


def _server_order() -> SandboxSpec:
    """The server reads the project and forks: only the empty network and the tie to our life are for it."""
    return SandboxSpec(
        parent=os.getpid(),
        memory=64 * GIB,
        cpu=365 * 24 * 3600,
        file=64 * GIB,
        files=4096,
        readable=None,
        writable=[],
        runnable=[],
        no_network=True,
        filtered=False,
    )


def _order(limits: Limits) -> SandboxSpec:
    return SandboxSpec(
        parent=0,
        memory=limits.memory_bytes,
        cpu=limits.cpu_seconds,
        file=limits.file_bytes,
        files=limits.open_files,
        readable=[str(path.absolute()) for path in (*_LIBRARIES, *limits.readable)],
        writable=[str(path.absolute()) for path in limits.writable],
        runnable=[],
        no_network=False,
        filtered=True,
    )

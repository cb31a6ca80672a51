"""One call through the fork server: its two sockets, the framed response, and what its end means.

The fork gets the data socket: it reads the request from it, and writes the response after the response's length. The
server keeps the status socket, and writes to it how the fork ended. No other process holds an end of either, so that a
call is over when its own response is complete, whatever other calls do, and no other call can write to it.
"""

import asyncio
import json
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chassis.adapters.sandbox import usage
from chassis.adapters.sandbox.confine import SandboxSpec
from chassis.adapters.sandbox.limits import ChildCpuExceeded, ChildDied, ChildDiskFull, Limits, says_disk_full

MAX_RESPONSE_BYTES = 1024 * 1024
"""Ten times the facts of a file with a thousand streams; small, because the response is decoded in the event loop."""
_LENGTH_BYTES = 8
_STATUS_BYTES = 64 * 1024
_FAULT_MESSAGE_CHARS = 500

FaultFactory = Callable[[str, str], Exception]
"""Makes the exception for a fault that a call raised, from its `kind` and message. May raise for an unknown kind."""


class ServerGone(ChildDied):
    """The fork server has ended, and has not received the call."""


@dataclass(frozen=True)
class Request:
    """`function` is `module:name`, `args` are its keyword arguments as JSON, `spec` what is applied of `limits`."""

    function: str
    args: Mapping[str, Any]
    spec: SandboxSpec
    limits: Limits

    def encode(self) -> bytes:
        """One line of JSON."""
        return json.dumps({"function": self.function, "args": dict(self.args), "spec": self.spec}).encode() + b"\n"


async def run(control_socket: socket.socket, request: Request) -> bytes:
    """Has the server fork for `request`, and returns the response.

    Raises ServerGone if there was no server to receive it, ChildExceeded if the fork uses more than it may, and
    ChildCpuExceeded or ChildDied if it ends without a response. Leaving it, also by cancellation, closes
    the sockets; the server then kills the fork.
    """
    data, data_of_fork = socket.socketpair()
    status, status_of_server = socket.socketpair()
    with data, status:
        with data_of_fork, status_of_server:
            try:
                socket.send_fds(control_socket, [b"!"], [data_of_fork.fileno(), status_of_server.fileno()])
            except OSError as error:
                raise ServerGone(f"the fork server is gone: {error}") from error
        reader, writer = await asyncio.open_unix_connection(sock=data)
        status_reader, status_writer = await asyncio.open_unix_connection(sock=status, limit=_STATUS_BYTES)
        try:
            writer.write(request.encode())
            return await _watched_response(reader, status_reader, request)
        finally:
            writer.transport.abort()
            status_writer.transport.abort()


async def _watched_response(
    reader: asyncio.StreamReader, status_reader: asyncio.StreamReader, request: Request
) -> bytes:
    started = await status_reader.readline()
    pid: int | None = json.loads(started or b"{}").get("pid")
    if pid is None:
        raise _death(request.function, started)
    response = asyncio.ensure_future(_read_response(reader, status_reader, request.function))
    watching = asyncio.ensure_future(usage.watch(pid, request.limits))
    try:
        await asyncio.wait([response, watching], return_when=asyncio.FIRST_COMPLETED)
        return response.result() if response.done() else await watching
    finally:
        for task in (response, watching):
            task.cancel()
        await asyncio.gather(response, watching, return_exceptions=True)


async def _read_response(reader: asyncio.StreamReader, status_reader: asyncio.StreamReader, function: str) -> bytes:
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        if length > MAX_RESPONSE_BYTES:
            raise ChildDied(f"the response of {function} is larger than {MAX_RESPONSE_BYTES} bytes")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        raise _death(function, await status_reader.readline()) from None


def _death(function: str, status_line: bytes) -> ChildCpuExceeded | ChildDied:
    """The error for a fork that ended without a response, from the status line of the server (pure)."""
    if not status_line:
        return ChildDied(f"{function} ended without a result: the fork server ended")
    ended = json.loads(status_line)
    exit_status: int = ended["exit"]
    if exit_status == -signal.SIGXCPU:
        return ChildCpuExceeded(f"{function} used more processor time than it may")
    return ChildDied(
        f"{function} ended without a result: status {exit_status}; {ended['stderr'][-500:]}",
        signal=-exit_status if exit_status < 0 else 0,
    )


def result(function: str, response: bytes, fault: FaultFactory | None) -> Any:
    """What the function returned (pure). Raises the fault that it raised, ChildDiskFull, or ChildDied.

    A taken-over decoder can have written any response, so that nothing is assumed about its shape.
    """
    try:
        decoded = json.loads(response)
    except (ValueError, RecursionError):
        raise ChildDied(f"the response of {function} is not JSON") from None
    if not isinstance(decoded, dict):
        raise ChildDied(f"the response of {function} is not an object")
    if "fault" in decoded and fault is not None:
        raise fault(str(decoded["fault"]), _printable(str(decoded.get("message", ""))))
    if "value" not in decoded:
        error = str(decoded.get("error") or decoded)
        if says_disk_full(error):
            raise ChildDiskFull(f"{function}: {_printable(error)}")
        raise ChildDied(f"{function} failed: {_printable(error)}")
    return decoded["value"]


def _printable(text: str) -> str:
    """The text without what a database or a terminal does not take: control characters and lone surrogates."""
    return "".join(character for character in text[:_FAULT_MESSAGE_CHARS] if character.isprintable())

"""Script: forks one confined child per call. `python -I fork_server_main.py SETUP`; stdin is the control socket.

SETUP is JSON: `path` (where modules are found) and `preload` (modules imported once). Standard input is a Unix socket:
each byte on it carries one end of a socket pair, the call. On a call's socket come the request as one line
of JSON and, back, one line with the answer and one with how the child ended. When the other side closes a call's
socket its child is killed; when it closes standard input (or dies) the server ends, and every child with it.

One thread, so that forking is safe; nothing untrusted is ever parsed here, only in the forks.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from typing import Any

_REQUEST_BYTES = 1024 * 1024


def main(setup: dict[str, Any]) -> None:
    """Loads what is to be loaded, says so with one byte, serves until the control_socket is let go."""
    sys.path[:] = setup["path"]
    for module in setup["preload"]:
        importlib.import_module(module)
    # What is loaded now is shared with the forks; without this the collector would copy it by touching it.
    gc.collect()
    gc.freeze()
    control_socket = socket.socket(fileno=0)
    control_socket.send(b"+")
    _Server(control_socket).run()


class _Server:
    def __init__(self, control_socket: socket.socket) -> None:
        self._control_socket = control_socket
        self._calls: dict[int, tuple[int, socket.socket]] = {}
        """Children by pid, each with its process's own file descriptor number and the call's socket."""
        self._poll = select.poll()
        self._poll.register(control_socket, select.POLLIN)
        wake_read, wake_write = os.pipe()
        for end in (wake_read, wake_write):
            os.set_blocking(end, False)
        self._wake = wake_read
        self._poll.register(wake_read, select.POLLIN)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._control_socket.fileno():
                    if not self._accept():
                        return
                elif fd == self._wake:
                    self._reap()
                else:
                    self._hung_up(fd)

    def _accept(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self._control_socket, 1, 1)
        if not data:
            for pid in self._calls:
                _kill(pid)
            return False
        call = socket.socket(fileno=fds[0])
        pid = os.fork()
        if pid == 0:
            _child(call, os.getppid())
        # No events asked for: the poll then tells only when the other side has closed.
        self._poll.register(call, 0)
        self._calls[pid] = (call.fileno(), call)
        return True

    def _hung_up(self, fd: int) -> None:
        for pid, (number, _) in self._calls.items():
            if number == fd:
                _kill(pid)
        self._poll.unregister(fd)

    def _reap(self) -> None:
        while True:
            try:
                os.read(self._wake, 512)
            except BlockingIOError:
                break
        while self._calls:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if not pid:
                return
            number, call = self._calls.pop(pid)
            with contextlib.suppress(KeyError):  # unregistered already where the caller hung up
                self._poll.unregister(number)
            _tell_end(call, status, usage.ru_maxrss)
            call.close()


def _tell_end(call: socket.socket, status: int, peak: int) -> None:
    ended = {"exit": os.waitstatus_to_exitcode(status), "peak": peak}
    with contextlib.suppress(OSError):
        # Not a blocking send: a caller that does not read must not hold up the others.
        call.send(b"\n" + json.dumps(ended).encode() + b"\n", socket.MSG_DONTWAIT)


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _child(call: socket.socket, server: int) -> None:
    """One call, in the fork: never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)  # the control_socket is the server's alone
        os.dup2(null, 1)
        answer = _answer(_request(call), server)
        call.sendall(json.dumps(answer).encode())
        status = 0
    finally:
        os._exit(status)


def _request(call: socket.socket) -> dict[str, Any]:
    data = b""
    while not data.endswith(b"\n"):
        chunk = call.recv(65536)
        if not chunk or len(data) > _REQUEST_BYTES:
            os._exit(1)
        data += chunk
    request: dict[str, Any] = json.loads(data)
    return request


def _answer(request: dict[str, Any], server: int) -> dict[str, Any]:
    from chassis.adapters.sandbox import confine

    module, _, name = request["function"].partition(":")
    function = getattr(importlib.import_module(module), name)
    order: confine.SandboxSpec = {**request["order"], "parent": server}  # type: ignore[typeddict-item]
    confine.apply(order)
    try:
        return {"value": function(**request["args"])}
    except Exception as error:  # noqa: BLE001 - the border of the process: everything is told, nothing is lost
        kind = getattr(error, "kind", None)
        if isinstance(kind, str):
            return {"fault": kind, "message": str(error)}
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

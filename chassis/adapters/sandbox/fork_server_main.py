"""Script: forks one confined child per call. `python -I fork_server_main.py SETUP`; stdin is the control socket.

SETUP is JSON: `path` (the module search path) and `preload` (modules imported once). Standard input is a Unix socket:
each byte on it carries one end of a socket pair, the socket of one call. The client sends the request on it as one line
of JSON; it receives one line with the response and one with how the child ended. When the client closes the socket, the
server kills the child; when it closes standard input (or ends), the server ends with all its children.

The server has one thread, so that forking is safe. It never parses untrusted bytes, only its forks do.
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
    """Imports the modules, sends one byte when it is ready, and serves until the control socket is closed."""
    sys.path[:] = setup["path"]
    for module in setup["preload"]:
        importlib.import_module(module)
    # Forks share the memory of what is loaded now; without this, garbage collection would touch and so copy it.
    gc.collect()
    gc.freeze()
    control_socket = socket.socket(fileno=0)
    control_socket.send(b"+")
    _Server(control_socket).run()


class _Server:
    def __init__(self, control_socket: socket.socket) -> None:
        self._control_socket = control_socket
        self._calls: dict[int, tuple[int, socket.socket]] = {}
        """By the pid of the child: the file descriptor and the socket of its call."""
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
                    self._on_client_closed(fd)

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
        # Registered for no event: the poll reports only that the client closed.
        self._poll.register(call, 0)
        self._calls[pid] = (call.fileno(), call)
        return True

    def _on_client_closed(self, fd: int) -> None:
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
            with contextlib.suppress(KeyError):  # unregistered already if the client closed
                self._poll.unregister(number)
            _send_end(call, status, usage.ru_maxrss)
            call.close()


def _send_end(call: socket.socket, status: int, peak: int) -> None:
    ended = {"exit": os.waitstatus_to_exitcode(status), "peak": peak}
    with contextlib.suppress(OSError):
        # Not a blocking send: a client that does not read must not delay the others.
        call.send(b"\n" + json.dumps(ended).encode() + b"\n", socket.MSG_DONTWAIT)


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _child(call: socket.socket, server: int) -> None:
    """Runs one call in the fork; never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)  # the control socket belongs to the server only
        os.dup2(null, 1)
        response = _response(_request(call), server)
        call.sendall(json.dumps(response).encode())
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


def _response(request: dict[str, Any], server: int) -> dict[str, Any]:
    from chassis.adapters.sandbox import confine

    module, _, name = request["function"].partition(":")
    function = getattr(importlib.import_module(module), name)
    spec: confine.SandboxSpec = {**request["spec"], "parent_pid": server}  # type: ignore[typeddict-item]
    confine.apply(spec)
    try:
        return {"value": function(**request["args"])}
    except Exception as error:  # noqa: BLE001 - every exception of the function is sent to the client
        kind = getattr(error, "kind", None)
        if isinstance(kind, str):
            return {"fault": kind, "message": str(error)}
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

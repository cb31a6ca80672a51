"""Script: forks one confined child per call. `python -I fork_server_main.py SETUP`; stdin is the control socket.

SETUP is JSON: `path` (the module search path) and `preload` (modules imported once). Standard input is a Unix socket:
each byte on it carries two sockets of one call. The fork gets the data socket: it reads the request from it (one line
of JSON) and writes the response (eight bytes with its length, then JSON). The server keeps the status socket, and
writes one line with the process id of the fork and one with how it ended. When the client closes the status socket,
the server kills the fork; when it closes standard input (or ends), the server ends with all its forks.

A fork has no file descriptor of the server, of another call, nor a shared one: standard input and output are
/dev/null, standard error is a pipe of its own, and the fourth is its data socket.

The server has one thread, so that forking is safe. It never parses untrusted bytes, only its forks do.
"""

import contextlib
import fcntl
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
_STDERR_BYTES = 4096
_LENGTH_BYTES = 8
_DATA_FD = 3
_CONFINE = "chassis.adapters.sandbox.confine"
"""What each fork calls first. Loaded by name, once the module search path is set."""


def main(setup: dict[str, Any]) -> None:
    """Imports the modules, sends one byte when it is ready, and serves until the control socket is closed."""
    sys.path[:] = setup["path"]
    for module in (*setup["preload"], _CONFINE):
        importlib.import_module(module)
    # Forks share the memory of what is loaded now; without this, garbage collection would touch and so copy it.
    gc.collect()
    gc.freeze()
    control_socket = socket.socket(fileno=0)
    control_socket.send(b"+")
    _Server(control_socket).run()


class _Call:
    """One running fork: the status socket and the reading end of its standard error."""

    def __init__(self, status: socket.socket, stderr: int) -> None:
        self.status = status
        self._stderr = stderr

    def end(self, exit_status: int) -> None:
        """Tells the client how the fork ended, and closes everything."""
        # The pipe has what the fork wrote until it was full; a fork that writes more loses the rest.
        try:
            text = os.read(self._stderr, 16 * _STDERR_BYTES)[-_STDERR_BYTES:]
        except BlockingIOError:  # a process that the fork started and that is not dead yet holds the other end
            text = b""
        os.close(self._stderr)
        _send_status(self.status, exit_status, text.decode("utf-8", "replace"))


class _Server:
    def __init__(self, control_socket: socket.socket) -> None:
        self._control_socket = control_socket
        self._calls: dict[int, _Call] = {}
        """By the pid of the fork."""
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
        """Serves until the control socket is closed."""
        control, wake = self._control_socket.fileno(), self._wake
        while True:
            ready = {fd for fd, _ in self._poll.poll()}
            # In this order: the reaped calls are closed, and an accepted call may then get the number of one of them.
            for fd in ready - {control, wake}:
                self._on_client_closed(fd)
            if wake in ready:
                self._reap()
            if control in ready and not self._accept():
                return

    def _accept(self) -> bool:
        sent, fds, _, _ = socket.recv_fds(self._control_socket, 1, 2)
        if not sent:
            for pid in self._calls:
                _kill(pid)
            return False
        if len(fds) != 2:  # more open files than the limit of this process: the client sees its sockets closed
            for fd in fds:
                os.close(fd)
            return True
        data, status = fds[0], socket.socket(fileno=fds[1])
        stderr_read, stderr_write = os.pipe()
        for end in (stderr_read, stderr_write):
            os.set_blocking(end, False)
        failure = ""
        try:
            pid = os.fork()
        except OSError as error:
            pid, failure = -1, f"the fork server cannot fork: {error}"
        if pid == 0:
            _run_fork(data, stderr_write, os.getppid())
        os.close(data)
        os.close(stderr_write)
        if failure:
            os.close(stderr_read)
            _send_status(status, 1, failure)
            return True
        with contextlib.suppress(OSError):
            status.send(json.dumps({"pid": pid}).encode() + b"\n", socket.MSG_DONTWAIT)
        # Registered for no event: the poll reports only that the client closed.
        self._poll.register(status, 0)
        self._calls[pid] = _Call(status, stderr_read)
        return True

    def _on_client_closed(self, fd: int) -> None:
        for pid, call in self._calls.items():
            if call.status.fileno() == fd:
                _kill(pid)
        self._poll.unregister(fd)

    def _reap(self) -> None:
        while True:
            try:
                os.read(self._wake, 512)
            except BlockingIOError:
                break
        while self._calls:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            _kill(pid)  # what it started: the rest of its process group
            call = self._calls.pop(pid)
            with contextlib.suppress(KeyError):  # unregistered already if the client closed
                self._poll.unregister(call.status)
            call.end(os.waitstatus_to_exitcode(status))


def _send_status(status: socket.socket, exit_status: int, stderr: str) -> None:
    ended = {"exit": exit_status, "stderr": stderr}
    with status, contextlib.suppress(OSError):
        # Not a blocking send: a client that does not read must not delay the others.
        status.send(json.dumps(ended).encode() + b"\n", socket.MSG_DONTWAIT)


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _run_fork(data_fd: int, stderr_fd: int, server: int) -> None:
    """Runs one call in the fork; never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        data = _own_descriptors(data_fd, stderr_fd)
        response = json.dumps(_response(_request(data), server)).encode()
        _write(len(response).to_bytes(_LENGTH_BYTES, "big") + response)
        status = 0
    finally:
        os._exit(status)


def _own_descriptors(data_fd: int, stderr_fd: int) -> socket.socket:
    """Closes every file descriptor but the fork's own four, and returns its data socket.

    What it inherits are the sockets of the server and of all other calls. A fork that keeps them can forge the results
    of others, and keeps those calls from ending.
    """
    # Copies above all numbers that are overwritten below.
    data_fd, stderr_fd = (fcntl.fcntl(fd, fcntl.F_DUPFD, _DATA_FD + 1) for fd in (data_fd, stderr_fd))
    null = os.open(os.devnull, os.O_RDWR)
    for source, number in ((null, 0), (null, 1), (stderr_fd, 2), (data_fd, _DATA_FD)):
        os.dup2(source, number)
    os.closerange(_DATA_FD + 1, os.sysconf("SC_OPEN_MAX"))
    return socket.socket(fileno=_DATA_FD)


def _write(response: bytes) -> None:
    """Writes to the data socket as to a file: the filter allows no call for sockets."""
    left = memoryview(response)
    while left:
        left = left[os.write(_DATA_FD, left) :]


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

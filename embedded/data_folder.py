"""The data folder: locked by one process at a time, with run files by which child processes are found again.

Each child process has a run file (pid, start time, stop signal) and has the folder's id (`data_id`) in the
environment variable `CHILD_ENV_VAR`. After a SIGKILL of the parent the next start finds its orphans by both: a
pid alone may belong to another process by then.
"""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import psutil

from chassis.adapters.sandbox.child import CHILD_ENV_VAR
from embedded.errors import FolderInUse

_LOCK_FILE = "lock"
_CLOCK_SLACK_SECONDS = 2.0
"""Start times are counted from boot, and the boot time moves a little when the clock is set."""
_POLL_SECONDS = 0.02


@contextmanager
def hold_folder(data_dir: Path) -> Iterator[None]:
    """Lock `data_dir` (created if absent) for this process. Raises `FolderInUse`, which names the process that has it.

    The kernel releases the lock when its process ends.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    # "a+" does not empty the file before the lock is ours. Children do not inherit it: Python opens close-on-exec.
    with (data_dir / _LOCK_FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise FolderInUse(
                f"The data folder {data_dir} is in use by process {holder}. Stop that one, or name another folder."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        # The file stays when the lock goes: removing it would let two processes lock two files of the same name.
        yield


def data_id(data_dir: Path) -> str:
    """An id that no other folder on this machine has, a copy of this one included."""
    stat = data_dir.stat()
    return sha256(f"{stat.st_dev}:{stat.st_ino}".encode()).hexdigest()[:16]


def run_file(data_dir: Path, name: str) -> Path:
    """Where the run file of the child process `name` is."""
    return data_dir / "run" / f"{name}.json"


def write_run_file(data_dir: Path, name: str, pid: int, stop_signal: signal.Signals) -> None:
    """Note a child process that has just been started."""
    file = run_file(data_dir, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    with suppress(psutil.NoSuchProcess):  # a child that has ended already needs no run file
        entry = {"pid": pid, "started": psutil.Process(pid).create_time(), "signal": int(stop_signal)}
        file.write_text(json.dumps(entry))


def remove_run_file(data_dir: Path, name: str) -> None:
    """Remove the note of a child process that has ended."""
    run_file(data_dir, name).unlink(missing_ok=True)


def reap_orphans(data_dir: Path, *, timeout: float = 5.0) -> list[str]:
    """Stop the child processes that an earlier process left running on this folder; returns their names and pids.

    Call it while the folder is held and before any child is started. Each orphan gets the stop signal of its run file
    (SIGTERM without one), and SIGKILL after `timeout` seconds. Blocks.
    """
    if not data_dir.is_dir():
        return []
    orphans = {process.pid: (process, stop_signal) for process, stop_signal in _from_run_files(data_dir)}
    for process in _from_environments(data_id(data_dir)):
        orphans.setdefault(process.pid, (process, signal.SIGTERM))
    names = []
    for process, _ in orphans.values():
        with suppress(psutil.NoSuchProcess):
            names.append(f"{process.name()} ({process.pid})")
    stop_processes(list(orphans.values()), timeout)
    for file in (data_dir / "run").glob("*.json"):
        file.unlink(missing_ok=True)
    return names


def stop_processes(processes: Sequence[tuple[psutil.Process, signal.Signals]], timeout: float) -> None:
    """Send each process its signal, and SIGKILL after `timeout` seconds. Blocks.

    For processes that are not our children: their end is not reported to us, so it is polled for.
    """
    for process, stop_signal in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(stop_signal)
    for process in _wait(processes, timeout):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _wait(processes, timeout)


def has_ended(process: psutil.Process) -> bool:
    """Whether the process has ended and released its files and ports.

    A zombie has ended: where process 1 does not reap orphans (many containers), it stays in the table. But a process
    whose main thread is a zombie while other threads still exit (a JVM after SIGKILL) holds its ports a little longer.
    """
    try:
        if not process.is_running():
            return True
        return process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
    except psutil.NoSuchProcess:
        return True


def _wait(processes: Sequence[tuple[psutil.Process, signal.Signals]], timeout: float) -> list[psutil.Process]:
    deadline = time.monotonic() + timeout
    while (left := [process for process, _ in processes if not has_ended(process)]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return left


def _from_run_files(data_dir: Path) -> Iterable[tuple[psutil.Process, signal.Signals]]:
    for file in (data_dir / "run").glob("*.json"):
        # A run file that is broken or of another program names no process; the environment still identifies ours.
        with suppress(ValueError, KeyError, TypeError, psutil.Error):
            entry = json.loads(file.read_text())
            process = psutil.Process(entry["pid"])
            same_start = abs(process.create_time() - entry["started"]) <= _CLOCK_SLACK_SECONDS
            if same_start and not has_ended(process) and _belongs_to(process, data_dir):
                yield process, signal.Signals(entry["signal"])


def _belongs_to(process: psutil.Process, data_dir: Path) -> bool:
    """By its environment, or by its command line or working directory.

    Where root may not trace other users' processes (many containers), only the command line of Postgres can be read.
    """
    id, folder = data_id(data_dir), str(data_dir.resolve())
    with suppress(psutil.Error, OSError):
        if process.environ().get(CHILD_ENV_VAR) == id:
            return True
    with suppress(psutil.Error, OSError):
        if any(id in argument or folder in argument for argument in process.cmdline()):
            return True
    return process.cwd().startswith(folder)


def _from_environments(id: str) -> Iterable[psutil.Process]:
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid not in own and not has_ended(process) and process.environ().get(CHILD_ENV_VAR) == id:
                yield process

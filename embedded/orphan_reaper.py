"""Children that a killed process left behind: how they are known, and how they are ended.

Each child is written down in a run file (pid, start time) and carries the data folder's mark in its environment. A pid
alone says nothing: it may belong to somebody else by now.
"""

import json
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import psutil

from embedded import processes

CHILD_ENV_VAR = "BITMILL_CHILD"
"""The environment variable by which children of a data folder are known; its value is `data_id(data_dir)`."""

_CLOCK_SLACK_SECONDS = 2.0
"""Start times are counted from boot, and the boot time moves a little when the clock is set."""


def data_id(data_dir: Path) -> str:
    """What tells this folder from every other one on the machine, also after it was moved or copied."""
    stat = data_dir.stat()
    return sha256(f"{stat.st_dev}:{stat.st_ino}".encode()).hexdigest()[:16]


def run_file(data_dir: Path, name: str) -> Path:
    return data_dir / "run" / f"{name}.json"


def remember(data_dir: Path, name: str, pid: int, stop_signal: signal.Signals) -> None:
    """Write a child's run file."""
    file = run_file(data_dir, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    with suppress(psutil.NoSuchProcess):  # a child that is gone already needs no run file
        note = {"pid": pid, "started": psutil.Process(pid).create_time(), "signal": int(stop_signal)}
        file.write_text(json.dumps(note))


def forget(data_dir: Path, name: str) -> None:
    """Remove a child's run file."""
    run_file(data_dir, name).unlink(missing_ok=True)


def reap_orphans(data_dir: Path, *, patience: float = 5.0) -> list[str]:
    """End what an earlier process on this folder left running, and say what that was.

    To be called while the folder is held and before any child is started. Each orphan is asked to stop the way its
    server likes it, and killed after `patience` seconds.
    """
    if not data_dir.is_dir():
        return []
    noted = _noted(data_dir)
    orphans = {process.pid: (process, signal_) for process, signal_ in noted}
    for process in _marked(data_id(data_dir)):
        orphans.setdefault(process.pid, (process, signal.SIGTERM))
    names = []
    for process, _ in orphans.values():
        with suppress(psutil.NoSuchProcess):
            names.append(f"{process.name()} ({process.pid})")
    processes.end(list(orphans.values()), patience)
    for file in (data_dir / "run").glob("*.json"):
        file.unlink(missing_ok=True)
    return names


def _noted(data_dir: Path) -> list[tuple[psutil.Process, signal.Signals]]:
    found = []
    for file in (data_dir / "run").glob("*.json"):
        # A half-written or alien note names no process; the mark in the environment still finds it.
        with suppress(ValueError, KeyError, TypeError, psutil.Error):
            note = json.loads(file.read_text())
            process = psutil.Process(note["pid"])
            same_start = abs(process.create_time() - note["started"]) <= _CLOCK_SLACK_SECONDS
            if same_start and not processes.gone(process) and _ours(process, data_dir):
                found.append((process, signal.Signals(note["signal"])))
    return found


def _ours(process: psutil.Process, data_dir: Path) -> bool:
    """The mark, or (where an environment cannot be read) the folder's name on the command line or as its place."""
    try:
        if process.environ().get(CHILD_ENV_VAR) == data_id(data_dir):
            return True
    except (psutil.Error, OSError):
        pass
    folder = str(data_dir.resolve())
    return process.cwd().startswith(folder) or any(folder in argument for argument in process.cmdline())


def _marked(mark: str) -> Iterable[psutil.Process]:
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid not in own and not processes.gone(process) and process.environ().get(CHILD_ENV_VAR) == mark:
                yield process

"""A folder for one process's temporary files, gone when the process is, also after it was killed."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LOCK = ".lock"
_PREFIX = "run-"


@contextmanager
def private_folder(root: Path) -> Iterator[Path]:
    """A new folder below `root`, removed at the end. What killed processes left there is removed at the beginning.

    A process holds a lock in its folder as long as it lives; several may share a `root`.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / _LOCK).open("w") as gate:
        # Held over the sweep and the birth: no other process takes a folder that has no lock yet for an abandoned one.
        fcntl.flock(gate, fcntl.LOCK_EX)
        _sweep(root)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        mine = (folder / _LOCK).open("w")
        fcntl.flock(mine, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        mine.close()


def _sweep(root: Path) -> None:
    for folder in root.glob(f"{_PREFIX}*"):
        # Gone already, or still somebody's: both are fine.
        with suppress(OSError), (folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)

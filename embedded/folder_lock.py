"""One running system per data folder: a locked file, whose lock the kernel drops when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded.errors import FolderInUse

_FILE = "lock"


@contextmanager
def hold_folder(data_dir: Path) -> Iterator[None]:
    """Hold `data_dir` (made if absent) for this process; `FolderInUse` names the process that has it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    # "a+" does not empty the file before the lock is ours. Children do not inherit it: Python opens close-on-exec.
    with (data_dir / _FILE).open("a+") as file:
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

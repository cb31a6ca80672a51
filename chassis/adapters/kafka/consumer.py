"""The consumer side of a service: one broker, a subscriber for each topic, readiness.

FastStream as its pitfalls teach: `auto_offset_reset="earliest"`, NACK_ON_ERROR with a pause, one record at a time per
topic, no replies, headers of strangers never parsed by the framework, and an own bounded wait for Kafka.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream import kafka as faststream_kafka
from faststream.kafka import KafkaBroker, KafkaMessage

from chassis.adapters.kafka import codec, handling
from chassis.adapters.kafka.admin import wait_for_groups, wait_for_kafka
from chassis.adapters.kafka.dead_letters import DeadLetters
from chassis.adapters.kafka.delivery import Delivery
from chassis.adapters.kafka.errors import NotAssigned
from chassis.adapters.kafka.log_filters import Quiet, spare_client_logs
from chassis.core import logs
from schemas.topics import Topic

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[None]])

log = logs.get_logger(__name__)

_SESSION_MS = 6000
"""The shortest that brokers allow by default: so long a killed member holds up its group."""
_HEARTBEAT_MS = 2000
_GRACEFUL_SECONDS = 4.0
"""For the record in hand when the service stops; handlers are short."""
_CHECK_SECONDS = 2.0


class ServiceBroker(KafkaBroker):
    """FastStream's broker with our delivery around each handler. Made by `make_broker`."""

    def __init__(self, bootstrap: str, service: str) -> None:
        self.service = service
        self.read: dict[str, Topic] = {}
        self.assignments: list[_Assignment] = []
        self._bootstrap = bootstrap
        self._dead_letters = DeadLetters(bootstrap, service)
        self._delivery = Delivery(service, self.read, self._dead_letters)
        super().__init__(
            bootstrap,
            client_id=f"bitmill.{service}",
            # Events leave through the outbox and topics are made by `ensure_topics`: no producer, no admin client here.
            consumer_only=True,
            allow_auto_create_topics=False,
            graceful_timeout=_GRACEFUL_SECONDS,
            # Decoded by our codec: the framework need not validate the same thing again.
            apply_types=False,
            parser=_parse,
            decoder=self._decode,
            middlewares=(self._delivery,),
            logger=Quiet(),
        )

    async def start(self) -> None:
        """Wait for Kafka, then join all groups at once: one after the other, each would wait for the one before."""
        await wait_for_kafka(self._bootstrap)
        await wait_for_groups(self._bootstrap)
        await self.connect()
        try:
            await asyncio.gather(*(subscriber.start() for subscriber in self.subscribers))
        except BaseException:
            await self.stop()
            raise
        self.running = True

    async def stop(self, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None) -> None:
        self._delivery.stopping.set()
        await super().stop(exc_type, exc_val, exc_tb)
        await self._dead_letters.close()

    async def _decode(self, message: KafkaMessage) -> Any:
        record = cast(Any, message.raw_message)
        origin = f"{record.topic}/{record.partition}/{record.offset}"
        return codec.decode(self.read[record.topic], record.headers, record.value, origin=origin)


class _Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Whether a subscriber has been through an assignment, be it of no partition at all."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.made = False

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing to do: a record in hand is handled to its end, and comes again to the next owner."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:  # noqa: ARG002  # aiokafka's signature
        self.made = True


def make_broker(bootstrap: str, service: str) -> KafkaBroker:
    """The broker of a service. Connects to nothing before `await broker.start()`."""
    spare_client_logs()
    return ServiceBroker(bootstrap, service)


def subscribe(broker: KafkaBroker, topic: Topic, service: str) -> Callable[[Handler], Handler]:
    """Register `async def handler(event: A | B) -> None` for a topic, with the group `bitmill.<service>.<topic>`.

    Events of the topic that the handler's annotation does not name pass by. What cannot be read, and what the handler
    refuses by raising `Rejected`, goes to the dead-letter topic; any other exception brings the event again after a
    pause. Events come at least once and not always in order: handlers must be short and idempotent.
    """
    owner = cast(ServiceBroker, broker)

    def register(handler: Handler) -> Handler:
        owner.read[topic.name] = topic
        assignment = _Assignment(topic.name)
        owner.assignments.append(assignment)
        subscriber = owner.subscriber(
            faststream_kafka.Topic(topic.name, declare=False),
            group_id=f"bitmill.{service}.{topic.name}",
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            no_reply=True,
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=_HEARTBEAT_MS,
            listener=assignment,
            title=topic.name,
            description=topic.description,
        )
        subscriber(handling.receiver(handler, topic))
        return handler

    return register


async def assigned(broker: KafkaBroker) -> None:
    """Raise `NotAssigned` unless every subscriber has joined its group, and unless Kafka answers within two seconds.

    A member without partitions, because there are more members than partitions, is ready.
    """
    owner = cast(ServiceBroker, broker)
    waiting = [assignment.topic for assignment in owner.assignments if not assignment.made]
    if waiting or not owner.running:
        raise NotAssigned(f"not yet a reader of {', '.join(waiting) or 'any topic'}")
    consumers = [consumer for each in owner.subscribers if (consumer := cast(Any, each).consumer) is not None]
    if consumers:
        try:
            await asyncio.wait_for(consumers[0].topics(), _CHECK_SECONDS)
        except (TimeoutError, KafkaError) as error:
            raise NotAssigned(f"Kafka does not answer: {error or f'{_CHECK_SECONDS:g} s have passed'}") from None


async def _parse(record: Any, original: Callable[[Any], Awaitable[KafkaMessage]]) -> KafkaMessage:
    """FastStream's message without the record's headers.

    It decodes every header as UTF-8 and fails beyond the reach of any middleware where one is not, and it would send an
    answer to whatever topic a `reply_to` names. Our codec reads the few headers that matter, from the record.
    """
    message = await original(replace(record, headers=()))
    message.raw_message = record
    return message

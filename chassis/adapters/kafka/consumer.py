"""The Kafka consumers of a service, on FastStream: batch subscribers, acknowledgement, metrics, AsyncAPI.

Settings and workarounds for FastStream 0.7: `auto_offset_reset="earliest"`; NACK_ON_ERROR with pauses (see
`record_handler`); record headers, which it decodes as UTF-8 and fails on, are read by our codec only; all groups are
joined at once; an empty poll does not sleep.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial, reduce
from inspect import signature
from operator import or_
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from aiokafka import ConsumerRecord, TopicPartition
from faststream import AckPolicy
from faststream import kafka as faststream_kafka
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.prometheus import KafkaPrometheusMiddleware
from prometheus_client import REGISTRY

from chassis.adapters.kafka.admin import wait_for_groups, wait_for_kafka
from chassis.adapters.kafka.bounded_fetch import BoundedConsumer
from chassis.adapters.kafka.connection import Kafka, connection
from chassis.adapters.kafka.dead_letters import (
    DeadLetterLimit,
    DeadLetterReport,
    DeadLetterWriter,
    KafkaDeadLetters,
    ReportedDeadLetters,
)
from chassis.adapters.kafka.errors import ConsumerNotReady
from chassis.adapters.kafka.log_filters import FastStreamLogger, limit_client_logs
from chassis.adapters.kafka.record_decoder import Prepare, ReceivedRecord, RecordDecoder
from chassis.adapters.kafka.record_handler import HandlerLimits, RecordHandler
from chassis.adapters.kafka.subscription import Subscription
from schemas.events import EVENTS, Event, Submission
from schemas.topics import Topic, group_id

HandlerT = TypeVar("HandlerT", bound=Callable[..., Awaitable[None]])

MAX_BATCH_RECORDS = 500
_POLL_MS = 30_000
_FETCH_WAIT_MS = 5_000
"""How long the broker delays a fetch response while there are no new records. `LongPollConsumer` prevents a fetch
without some of the partitions: their records would be delayed until its end."""
_FETCHER_POLL_MS = 5_000
"""How often aiokafka's fetcher looks around although nothing has happened: a new assignment, the end of a fetch and a
resumed partition wake it at once. Its default of 0.2 s took 40 % of the processor time of an idle process."""
_FETCH_MAX_BYTES = 8 * 1024 * 1024
"""What a consumer holds at most besides the batch in progress, a larger single record aside: while a batch is handled,
nothing is fetched. Compressed records are bounded by `bounded_fetch` besides."""
_REQUEST_TIMEOUT_MS = 15_000
"""A connection without a response for so long is reopened. Longer than `_FETCH_WAIT_MS`."""
_SESSION_MS = 6_000
"""The minimum that brokers allow by default: the partitions of a killed member are not consumed for so long."""
_HEARTBEAT_MS = 2_000
_GRACEFUL_SECONDS = 4.0
"""For the batch in progress when the service stops."""


class ServiceBroker(KafkaBroker):
    """The broker of one service; does not connect before `start`. Handlers are added by `subscribe`."""

    def __init__(
        self,
        kafka: Kafka,
        service: str,
        *,
        limits: HandlerLimits | None = None,
        dead_letters: DeadLetterWriter | None = None,
        report: DeadLetterReport | None = None,
    ) -> None:
        self.service = service
        self.limits = limits or HandlerLimits()
        self.subscriptions: list[Subscription] = []
        self._kafka = connection(kafka)
        self._kafka_dead_letters = KafkaDeadLetters(self._kafka, service)
        self.dead_letters: DeadLetterWriter = dead_letters or self._kafka_dead_letters
        if report is not None:
            self.dead_letters = ReportedDeadLetters(self.dead_letters, report)
        limit_client_logs()
        super().__init__(
            self._kafka.bootstrap,
            client_id=f"bitmill.{service}",
            # No producer and no admin client: the outbox relay publishes, and `ensure_topics` creates topics.
            consumer_only=True,
            allow_auto_create_topics=False,
            graceful_timeout=_GRACEFUL_SECONDS,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            # Our codec has validated the event: FastStream does not have to.
            apply_types=False,
            parser=_parse,
            decoder=self._decode,
            middlewares=(
                KafkaPrometheusMiddleware(registry=REGISTRY, app_name=service, metrics_prefix="bitmill_kafka"),
            ),
            logger=FastStreamLogger(),
        )

    async def start(self) -> None:
        """Waits for Kafka, then joins all groups at once, so that a start takes as long as one group takes."""
        await wait_for_kafka(self._kafka)
        if self.subscriptions:
            await wait_for_groups(self._kafka, group_id(self.service, self.subscriptions[0].handler.topic))
        await self.connect()
        try:
            await asyncio.gather(*(subscriber.start() for subscriber in self.subscribers))
        except BaseException:
            await self.stop()
            raise
        self.running = True

    async def stop(self, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None) -> None:
        for subscription in self.subscriptions:
            subscription.handler.stopping.set()
        await super().stop(exc_type, exc_val, exc_tb)
        await self._kafka_dead_letters.close()

    def check(self) -> None:
        """Raises ConsumerNotReady unless every group is joined and every handler makes progress.

        A member without partitions, because there are more members than partitions, is ready.
        """
        if not self.running:
            raise ConsumerNotReady("the consumers have not started")
        for subscription in self.subscriptions:
            subscription.check()

    async def _connect(self) -> Any:
        builder = await super()._connect()
        if isinstance(builder, partial):
            # FastStream has a description of TLS and login of its own; ours are the client's arguments.
            keywords = {**builder.keywords, **self._kafka.security}
            self.config.broker_config.builder = partial(LongPollConsumer, **keywords)
        return self.config.broker_config.builder

    async def _decode(self, message: KafkaMessage) -> list[ReceivedRecord]:
        records = cast(Sequence[ConsumerRecord], message.raw_message)
        decoder = next(each.decoder for each in self.subscriptions if each.handler.topic.name == records[0].topic)
        return [decoder.decode(record) for record in records]


class LongPollConsumer(BoundedConsumer):
    """A consumer whose `getmany` returns only with records, and which fetches only during `getmany`.

    After an empty poll FastStream sleeps for the poll timeout; records that arrive meanwhile would be delayed. While a
    batch is handled, aiokafka would start a fetch without the partitions that still have records, and with offsets that
    are wrong if the batch is delivered again; records of these partitions would be delayed until the end of that fetch.
    """

    async def getmany(
        self,
        *partitions: TopicPartition,
        timeout_ms: int = 0,  # noqa: ARG002 - FastStream's value, see above
        max_records: int | None = None,
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        self.resume(*self.paused())
        while True:
            found: dict[TopicPartition, list[ConsumerRecord]] = await super().getmany(
                *partitions, timeout_ms=_POLL_MS, max_records=max_records
            )
            if found:
                self.pause(*self.assignment())
                return found


def subscribe(
    broker: KafkaBroker,
    topic: Topic,
    *,
    prepare: Prepare | None = None,
    one_by_one: bool = False,
    consumers: int = 1,
) -> Callable[[HandlerT], HandlerT]:
    """Registers `async def handler(events: Sequence[A | B]) -> None` for a topic of the service that `broker` is for.

    The handler gets up to 500 events in their order, per partition; types that its annotation does not name are
    skipped. It must be idempotent and short, and do all of its work or raise. With `one_by_one` it gets single events.
    What follows from an exception decides `chassis.adapters.failure_policy`.

    With `prepare(event: A | B, json: bytes) -> T` the handler gets a `Sequence[T]`. Each event is prepared as soon as
    it is decoded: what a handler needs of events may be small, and hundreds of complete ones are more than the caches
    of a processor hold, which makes decoding slower by half.

    With several `consumers` the partitions are shared out among them: one batch is decoded while the handler waits for
    Postgres with another one.
    """
    owner = cast(ServiceBroker, broker)

    def register(handler: HandlerT) -> HandlerT:
        types = _types_of(_first_annotation(prepare)) if prepare else _event_types(handler, topic)
        decoder = RecordDecoder(owner.service, topic, types, prepare)
        dead_letter_limit = DeadLetterLimit(owner.limits.dead_letters_per_minute)
        for number in range(consumers):
            run = RecordHandler(
                owner.service,
                topic,
                handler,
                owner.dead_letters,
                owner.limits,
                one_by_one=one_by_one,
                dead_letter_limit=dead_letter_limit,
            )
            subscription = Subscription(decoder, run)
            owner.subscriptions.append(subscription)
            subscriber = owner.subscriber(
                faststream_kafka.Topic(topic.name, declare=False),
                group_id=group_id(owner.service, topic),
                batch=True,
                max_records=MAX_BATCH_RECORDS,
                auto_offset_reset="earliest",
                ack_policy=AckPolicy.NACK_ON_ERROR,
                no_reply=True,
                fetch_max_wait_ms=_FETCH_WAIT_MS,
                fetch_max_bytes=_FETCH_MAX_BYTES,
                consumer_timeout_ms=_FETCHER_POLL_MS,
                session_timeout_ms=_SESSION_MS,
                heartbeat_interval_ms=_HEARTBEAT_MS,
                listener=subscription,
                title=topic.name,
                description=topic.description,
                include_in_schema=number == 0,
            )
            # FastStream makes the consumer when it starts.
            subscription.fetches.watch(partial(getattr, subscriber, "consumer"))
            subscriber(_for_faststream(handler, run, types))
        return handler

    return register


def _event_types(handler: Callable[..., Any], topic: Topic) -> tuple[type[Any], ...]:
    """The event types in the annotation `Sequence[...]` of the handler's first parameter; TypeError for others."""
    annotation = _first_annotation(handler)
    (item,) = get_args(annotation) or (None,)
    if get_origin(annotation) is None or item is None:
        raise TypeError(f"the handler of {topic.name} must take a Sequence of events, not {annotation!r}")
    return _types_of(item)


def _first_annotation(function: Callable[..., Any]) -> Any:
    return get_type_hints(function)[next(iter(signature(function).parameters))]


def _types_of(annotation: Any) -> tuple[type[Any], ...]:
    """The types of `A | B`; TypeError where one is no event. A base class stands for all of its events."""
    types = get_args(annotation) or (annotation,)
    for type_ in types:
        if not (type_ is Submission or (isinstance(type_, type) and issubclass(type_, Event))):
            raise TypeError(f"{type_!r} is no event")
    return types


def _for_faststream(
    handler: Callable[..., Any], run: RecordHandler, types: tuple[type[Any], ...]
) -> Callable[..., Any]:
    """The function that FastStream calls; its annotation is what the AsyncAPI document shows."""
    of_topic = [EVENTS[name] for name in run.topic.types if name in EVENTS]
    documented = [event for event in of_topic if issubclass(event, types)] or types

    async def receive(events: list[ReceivedRecord]) -> None:
        await run(events)

    receive.__name__ = getattr(handler, "__name__", "receive")
    receive.__doc__ = handler.__doc__ or run.topic.description
    receive.__annotations__ = {"events": list[reduce(or_, documented)], "return": None}  # type: ignore[misc]
    return receive


async def _parse(records: Any, original: Callable[[Any], Awaitable[KafkaMessage]]) -> KafkaMessage:
    """FastStream's message made from records without headers, which it would decode as UTF-8 and act on."""
    # FastStream names the message after its first and last record.
    message = await original((replace(records[0], headers=()), replace(records[-1], headers=())))
    message.body = [record.value or b"" for record in records]
    message.raw_message = tuple(records)
    return message

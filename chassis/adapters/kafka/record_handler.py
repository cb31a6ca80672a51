"""Runs the handler of one topic over batches of records, under the failure policy.

A batch is first handled in one call: one transaction for up to hundreds of records. Where it fails for another
reason than an outage, its records are handled one by one, so that a bad record does not fail its neighbours. A record
that is given up goes to the dead-letter topic; too many of those in a minute halt the consumer, because then the code
is more likely to be wrong than the records.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from faststream.exceptions import NackMessage, StopConsume

from chassis.adapters.failure_policy import FailurePolicy, GiveUp, classify, describe
from chassis.adapters.kafka.dead_letters import DeadLetterLimit, DeadLetterWriter
from chassis.adapters.kafka.errors import ConsumerNotReady, RecordUnreadable
from chassis.adapters.kafka.record_decoder import ReceivedRecord
from chassis.adapters.kafka.record_traces import handling
from chassis.core import logs
from chassis.core.concurrency import abandon_after
from chassis.core.metrics import counter, gauge
from schemas.topics import Topic, group_id

Handler = Callable[[Sequence[Any]], Awaitable[None]]
"""Handles items of one topic in their order, all or none. It may see each more than once: it has to be idempotent."""

log = logs.get_logger(__name__)

_dead_letters = counter("bitmill_kafka_dead_letters", "Records given up.", ("service", "topic", "kind"))
_failures = counter("bitmill_kafka_handler_failures", "Failed calls of a Kafka handler.", ("service", "topic", "kind"))
_halted = gauge("bitmill_kafka_consumer_halted", "1 where too many dead letters have halted it.", ("service", "topic"))


@dataclass(frozen=True)
class HandlerLimits:
    """Bounds of a handler. `deadline_s` is for one call; a longer one counts as an outage and is repeated.

    `stalled_s` is how long a batch may be in progress before the consumer counts as not ready, `fetch_stalled_s` how
    long Kafka may leave a fetch without a response: longer than a client needs to replace a silent connection.
    """

    policy: FailurePolicy = field(default_factory=FailurePolicy)
    dead_letters_per_minute: int = 20
    deadline_s: float = 30.0
    stalled_s: float = 15.0
    fetch_stalled_s: float = 30.0


class RecordHandler:
    """The state of one subscription: `handler` is called with the items of the records that it wants.

    With `one_by_one` each call gets a single item: for handlers whose work cannot share a transaction.
    `dead_letter_limit` counts the dead letters of the topic, where several consumers of the process share it.
    """

    def __init__(
        self,
        service: str,
        topic: Topic,
        handler: Handler,
        dead_letters: DeadLetterWriter,
        limits: HandlerLimits,
        *,
        one_by_one: bool = False,
        dead_letter_limit: DeadLetterLimit | None = None,
    ) -> None:
        self.topic = topic
        self.stopping = asyncio.Event()
        """Set when the service stops: ends every pause."""
        self._service = service
        self._group = group_id(service, topic)
        self._handler = handler
        self._dead_letters = dead_letters
        self.limits = limits
        self._one_by_one = one_by_one
        self._failures: dict[tuple[int, int], int] = {}
        """Unexpected failures of single records, by position; kept over redeliveries."""
        self._outages = 0
        self._last_error = ""
        self._given_up: set[tuple[int, int]] = set()
        """Positions in the batch in progress that have their dead letter already."""
        self._dead_letter_limit = dead_letter_limit or DeadLetterLimit(limits.dead_letters_per_minute)
        self._since: float | None = None
        self._halted: str | None = None
        _halted.labels(service, topic.name).set(0)

    async def __call__(self, batch: Sequence[ReceivedRecord]) -> None:
        """Handles a batch; returns when its offsets may be committed.

        Raises NackMessage where the batch has to come again, StopConsume where the consumer halts.
        """
        if self._since is None:
            self._since = time.monotonic()
        with logs.bind_context(service=self._service, topic=self.topic.name):
            await self._handle(batch)
        self.forget_batch()

    def forget_batch(self) -> None:
        """The batch in progress is done, or its partitions were assigned to another consumer."""
        self._since = None
        self._failures.clear()
        self._given_up.clear()

    def check(self) -> None:
        """Raises ConsumerNotReady where the consumer was halted or a batch is in progress for too long."""
        if self._halted is not None:
            raise ConsumerNotReady(f"{self.topic.name}: halted: {self._halted}")
        if self._since is not None and time.monotonic() - self._since > self.limits.stalled_s:
            seconds = time.monotonic() - self._since
            reason = f", last error {self._last_error}" if self._last_error else ""
            raise ConsumerNotReady(f"{self.topic.name}: one batch is in progress for {seconds:.0f} s{reason}")

    async def _handle(self, batch: Sequence[ReceivedRecord]) -> None:
        wanted = [received for received in batch if received.wanted]
        if wanted and not await self._handled_together(wanted):
            for received in wanted:
                await self._handle_one(received)
        for received in batch:
            if isinstance(received.error, RecordUnreadable):
                await self._write_dead_letter(received, GiveUp("rejected", received.error.reason, received.error.code))

    async def _handled_together(self, wanted: Sequence[ReceivedRecord]) -> bool:
        if self._one_by_one or any(received.position in self._failures for received in wanted):
            return False
        try:
            await self._call(wanted)
        except Exception as error:  # noqa: BLE001 - the failure policy decides about every exception
            kind = classify(error)
            self._log_failure(error, kind, records=len(wanted))
            if kind == "outage":
                await self._wait_for_recovery()
            return False
        return True

    async def _handle_one(self, received: ReceivedRecord) -> None:
        while True:
            try:
                await self._call([received])
            except Exception as error:  # noqa: BLE001 - the failure policy decides about every exception
                failures = self._failures.get(received.position, 0) + 1
                decision = self.limits.policy.decide(error, failures)
                if isinstance(decision, GiveUp):
                    await self._write_dead_letter(received, decision)
                    return
                partition, offset = received.position
                self._log_failure(
                    error,
                    classify(error),
                    partition=partition,
                    offset=offset,
                    subject=received.subject,
                    failures=failures,
                )
                if not decision.counts:
                    await self._wait_for_recovery()
                self._failures[received.position] = failures
                await self._pause(decision.delay_s)
            else:
                return

    async def _call(self, records: Sequence[ReceivedRecord]) -> None:
        for received in records:
            if received.error is not None:
                raise received.error
        items = [received.item for received in records]
        with handling(self.topic, self._group, records):
            await abandon_after(self.limits.deadline_s, _as_coroutine(self._handler(items)))
        if self._outages:
            log.info("kafka_handler_recovered", failures=self._outages)
        self._outages, self._last_error = 0, ""
        self._dead_letter_limit.reset()

    async def _wait_for_recovery(self) -> None:
        """Pauses, longer with each consecutive outage, and has the batch delivered again."""
        self._outages += 1
        await self._pause(self.limits.policy.delay_s(self._outages))
        raise NackMessage

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)
            raise NackMessage

    def _log_failure(self, error: Exception, kind: str, **fields: Any) -> None:
        _failures.labels(self._service, self.topic.name, kind).inc()
        self._last_error = type(error).__name__
        first = self._outages == 0 if kind == "outage" else fields.get("failures", 1) == 1
        # Only once with the traceback: it is the same each time.
        log.warning(
            "kafka_handler_failed", kind=kind, error=describe(error), exc_info=error if first else None, **fields
        )

    async def _write_dead_letter(self, received: ReceivedRecord, given_up: GiveUp) -> None:
        if received.position in self._given_up:
            return
        counts = self._counts_towards_halt(given_up)
        if counts:
            self._halt_if_limit_exceeded(received)
        try:
            await self._dead_letters.write(self.topic, received.record, given_up.reason, given_up.code)
        except Exception as error:  # noqa: BLE001 - whatever Kafka's client raises: the record must not be lost
            self._log_failure(error, "outage")
            await self._wait_for_recovery()
        self._given_up.add(received.position)
        if counts:
            self._dead_letter_limit.count()
        _dead_letters.labels(self._service, self.topic.name, given_up.kind).inc()
        partition, offset = received.position
        log.log(
            logging.ERROR if given_up.kind == "unexpected" else logging.WARNING,
            "kafka_record_dead_lettered",
            reason=given_up.reason,
            code=given_up.code,
            dead_letter_topic=self.topic.dead_letter,
            partition=partition,
            offset=offset,
            subject=received.subject,
            event_type=received.event_type,
        )

    def _counts_towards_halt(self, given_up: GiveUp) -> bool:
        """Whether many such dead letters halt the consumer: not where customers may write records, and wrote bad ones.

        Otherwise one customer's program could stop the topic for all of them. A bug of ours counts on every topic.
        """
        return not ((self._one_by_one or self.topic.submitted) and given_up.kind == "rejected")

    def _halt_if_limit_exceeded(self, received: ReceivedRecord) -> None:
        self._halted = self._dead_letter_limit.exceeded()
        if self._halted is None:
            return
        partition, offset = received.position
        _halted.labels(self._service, self.topic.name).set(1)
        log.critical(
            "kafka_consumer_halted",
            reason=self._halted,
            partition=partition,
            offset=offset,
            subject=received.subject,
            see=f"bitmill dlq list --topic {self.topic.name}",
        )
        raise StopConsume


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable

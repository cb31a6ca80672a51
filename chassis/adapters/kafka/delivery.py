"""What happens around a handler: dead letters for what is refused, a growing pause for what fails.

With FastStream's NACK_ON_ERROR a handler that fails is called again at once, thousands of times a second. Here it is
called again after a pause, so that a lost database means slow progress and one line of log per pause.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiokafka import ConsumerRecord
from faststream import BaseMiddleware, ContextRepo

from chassis.adapters.kafka.backoff import Attempts, pause_seconds
from chassis.adapters.kafka.dead_letters import DeadLetters
from chassis.adapters.kafka.errors import Redelivered, Refused
from chassis.core import logs
from schemas.topics import Topic

if TYPE_CHECKING:
    from faststream._internal.basic_types import AsyncFuncAny
    from faststream.message import StreamMessage

log = logs.get_logger(__name__)


class Delivery:
    """Makes the middleware of one broker. `topics` are those that were subscribed to, by name."""

    def __init__(self, service: str, topics: Mapping[str, Topic], dead_letters: DeadLetters) -> None:
        self.service = service
        self.topics = topics
        self.dead_letters = dead_letters
        self.attempts = Attempts()
        self.stopping = asyncio.Event()
        """Ends pauses: set when the broker stops, for good."""

    def __call__(self, msg: Any, /, *, context: ContextRepo) -> "_Delivery":
        return _Delivery(msg, context=context, delivery=self)


class _Delivery(BaseMiddleware):
    def __init__(self, msg: Any, /, *, context: ContextRepo, delivery: Delivery) -> None:
        super().__init__(msg, context=context)
        self._delivery = delivery

    async def consume_scope(self, call_next: "AsyncFuncAny", msg: "StreamMessage[Any]") -> Any:
        record: ConsumerRecord = msg.raw_message
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        with logs.bind_context(service=self._delivery.service):
            try:
                result = await self._handle(call_next, msg, place)
            except Exception as error:
                await self._wait(error, place)
                raise Redelivered(str(error)) from error
        self._delivery.attempts.passed(record.topic, record.partition)
        return result

    async def _handle(self, call_next: "AsyncFuncAny", msg: "StreamMessage[Any]", place: dict[str, Any]) -> Any:
        try:
            return await call_next(msg)
        except Refused as refused:
            topic = self._delivery.topics[place["topic"]]
            await self._delivery.dead_letters.send(topic, msg.raw_message, refused.reason)
            log.warning("record refused", reason=refused.reason, dead_letter=topic.dead_letter, **place)
            return None

    async def _wait(self, error: Exception, place: dict[str, Any]) -> None:
        attempt = self._delivery.attempts.failed(**place)
        pause = pause_seconds(attempt)
        # The traceback once: it is the same each time.
        shown = error if attempt == 1 else None
        log.warning(
            "record not handled, trying again",
            error=repr(error),
            attempt=attempt,
            pause_s=pause,
            exc_info=shown,
            **place,
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(self._delivery.stopping.wait(), pause)

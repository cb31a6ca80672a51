"""The last watermarks of the topic `outbox.watermark`, in memory."""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta

from chassis.core.concurrency import WakeSignal
from schemas.events import Event, OutboxAdvanced
from schemas.topics import OUTBOX_WATERMARK
from services.catalog.broadcasts import BroadcastReader, Broadcasts
from services.catalog.publication import Watermark

KEPT = 128
"""About as many seconds: longer than any request waits."""
_RECHECK = timedelta(seconds=1)


class OutboxWatermarks:
    """The last watermarks of one service's outbox, as `reader` gets them; `broadcasts` are to be set before use."""

    def __init__(self, service: str = "ingest") -> None:
        self._service = service
        self._recent: deque[Watermark] = deque(maxlen=KEPT)
        self._received = WakeSignal()
        self.broadcasts: Broadcasts | None = None

    @property
    def reader(self) -> BroadcastReader:
        """Begins with the last one in the topic: it is sufficient for old ids, even while ingest is away."""
        return BroadcastReader(self._keep, self._received.notify, from_last=True)

    @property
    def recent(self) -> Sequence[Watermark]:
        return self._recent

    async def wait_until(self, holds: Callable[[Sequence[Watermark]], bool]) -> None:
        """Returns once `holds(recent)` is true, without a timeout."""
        while True:
            subscription = self._received.subscribe()
            if holds(self._recent):
                return
            await subscription.wait(_RECHECK)

    async def end_offset(self) -> int | None:
        """The offset that the next watermark will get; None if Kafka does not respond."""
        return None if self.broadcasts is None else await self.broadcasts.end_offset(OUTBOX_WATERMARK)

    def _keep(self, event: Event) -> None:
        if isinstance(event, OutboxAdvanced) and event.service == self._service:
            self._recent.append(Watermark(event.at, event.published_through, event.after_offset))

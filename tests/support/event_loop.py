"""How long other coroutines of the event loop had to wait because one of them computed.

Counted in processor time of the loop's thread: what other processes take of a busy machine is nobody's fault here.

async with loop_stalls() as stalls:
    await something()
assert stalls.longest_s < 1
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter, thread_time

TICK_S = 0.005


@dataclass
class Stalls:
    """What a coroutine saw that asked for a turn every `TICK_S`: its longest wait beyond that, and its turns."""

    longest_s: float = 0.0
    turns: int = 0


@asynccontextmanager
async def loop_stalls() -> AsyncIterator[Stalls]:
    """Measures until the end of the block."""
    stalls = Stalls()

    async def tick() -> None:
        while True:
            started, computed = perf_counter(), thread_time()
            await asyncio.sleep(TICK_S)
            waited_s = perf_counter() - started - TICK_S
            stalls.longest_s = max(stalls.longest_s, min(waited_s, thread_time() - computed))
            stalls.turns += 1

    ticking = asyncio.create_task(tick())
    try:
        await asyncio.sleep(0)
        yield stalls
        # A stall that has not ended yet ends here.
        await asyncio.sleep(TICK_S)
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)

"""The short wait for a slot of a host that responds quickly."""

import asyncio

from chassis.core.host_limiter import MIN_DELAY_S, HostLimiter
from services.notifier.host_slots import HostSlots

LONG = 300.0


async def test_a_slot_of_a_quick_host_is_waited_for() -> None:
    slots = HostSlots(HostLimiter(1), wait_s=LONG)
    assert await slots.acquire("prj", "quick") is None
    waiting = asyncio.create_task(slots.acquire("prj", "quick"))
    await asyncio.sleep(0)
    assert not waiting.done()
    slots.release("prj", "quick", 0.01)
    assert await waiting is None


async def test_the_wait_ends() -> None:
    slots = HostSlots(HostLimiter(1), wait_s=0.01)
    assert await slots.acquire("prj", "quick") is None
    delay = await slots.acquire("prj", "quick")
    assert delay is not None and delay >= MIN_DELAY_S


async def test_a_slow_host_is_not_waited_for() -> None:
    slots = HostSlots(HostLimiter(1), wait_s=LONG)
    await slots.acquire("prj", "slow")
    slots.release("prj", "slow", LONG + 1)
    assert await slots.acquire("prj", "slow") is None
    async with asyncio.timeout(60):
        assert await slots.acquire("prj", "slow") is not None


async def test_a_host_that_is_slow_for_one_project_is_waited_for_by_another() -> None:
    slots = HostSlots(HostLimiter(1), wait_s=LONG)
    await slots.acquire("slow", "host")
    slots.release("slow", "host", LONG + 1)
    # Each project may have its share, which is at least one.
    assert await slots.acquire("slow", "host") is None
    assert await slots.acquire("other", "host") is None
    waiting = asyncio.create_task(slots.acquire("other", "host"))
    await asyncio.sleep(0)
    assert not waiting.done()
    slots.release("other", "host", 0.01)
    assert await waiting is None

"""Slots that are shared out fairly between owners."""

import asyncio

import pytest

from chassis.core.fair_slots import FairSlots


class Crowd:
    """Tasks that ask for slots; `granted` are their owners in the order in which they got one."""

    def __init__(self, slots: FairSlots) -> None:
        self.slots = slots
        self.granted: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def ask(self, *owners: str, alone: bool = False, short: bool = False) -> None:
        for owner in owners:
            self._tasks.append(asyncio.create_task(self._acquire(owner, alone, short)))
            await asyncio.sleep(0)
        await self._settle()

    async def release(self, *owners: str, alone: bool = False, short: bool = False) -> None:
        for owner in owners:
            self.slots.release(owner, alone=alone, short=short)
            await self._settle()

    async def give_up(self) -> None:
        """The first task that waits does not wait any longer."""
        next(task for task in self._tasks if not task.done()).cancel()
        await self._settle()

    async def overdue(self, owner: str) -> None:
        self.slots.overdue()
        await self._settle()

    async def _acquire(self, owner: str, alone: bool, short: bool) -> None:
        await self.slots.acquire(owner, alone=alone, short=short)
        self.granted.append(owner)

    async def _settle(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
def crowd() -> Crowd:
    return Crowd(FairSlots(2))


async def test_there_are_no_more_holders_than_slots(crowd: Crowd) -> None:
    await crowd.ask("a", "a", "a", "b")
    assert crowd.granted == ["a", "a"]


async def test_a_free_slot_goes_to_the_owner_that_holds_the_fewest(crowd: Crowd) -> None:
    await crowd.ask("a", "a", "a", "a", "b")
    await crowd.release("a")
    assert crowd.granted == ["a", "a", "b"]


async def test_owners_that_hold_as_many_take_turns(crowd: Crowd) -> None:
    await crowd.ask("a", "b", "a", "a", "a", "b", "b", "c")
    await crowd.release("a")
    assert crowd.granted[2:] == ["c"]
    await crowd.release("c")
    assert crowd.granted[3:] == ["a"]
    await crowd.release("a")
    await crowd.release("b")
    assert sorted(crowd.granted[4:]) == ["a", "b"]


async def test_who_waited_longest_comes_first_within_an_owner() -> None:
    slots, order = FairSlots(1), list[int]()

    async def hold(n: int) -> None:
        await slots.acquire("a")
        order.append(n)
        await asyncio.sleep(0)
        slots.release("a")

    async with asyncio.TaskGroup() as group:
        for n in range(5):
            group.create_task(hold(n))
    assert order == list(range(5))


async def test_a_waiter_that_gives_up_is_passed_over(crowd: Crowd) -> None:
    await crowd.ask("a", "a", "b", "c")
    await crowd.give_up()
    await crowd.release("a")
    assert crowd.granted == ["a", "a", "c"]


async def test_a_slot_that_was_granted_to_a_waiter_that_gave_up_is_free() -> None:
    slots = FairSlots(1)
    await slots.acquire("a")
    waiting = asyncio.create_task(slots.acquire("b"))
    await asyncio.sleep(0)
    slots.release("a")
    waiting.cancel()  # it has been granted the slot, and does not know yet
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(60):
        await slots.acquire("c")


async def test_a_waiter_that_gives_up_at_the_moment_of_a_release_is_passed_over() -> None:
    slots = FairSlots(1)
    await slots.acquire("a")
    first, second = (asyncio.create_task(slots.acquire(owner)) for owner in ("b", "c"))
    await asyncio.sleep(0)
    first.cancel()  # it waits, and does not know yet
    slots.release("a")
    assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], asyncio.CancelledError)
    async with asyncio.timeout(60):
        await second
    slots.release("c")
    assert not slots.waiting()
    async with asyncio.timeout(60):
        await slots.acquire("d")


async def test_alone_waits_for_all_and_nobody_joins(crowd: Crowd) -> None:
    await crowd.ask("a")
    await crowd.ask("s", alone=True)
    await crowd.ask("b")
    assert crowd.granted == ["a"]
    await crowd.release("a")
    assert crowd.granted == ["a", "s"]
    await crowd.release("s", alone=True)
    assert crowd.granted == ["a", "s", "b"]


async def test_others_go_on_when_the_one_that_wanted_to_be_alone_gives_up(crowd: Crowd) -> None:
    await crowd.ask("a")
    await crowd.ask("s", alone=True)
    await crowd.ask("b")
    await crowd.give_up()
    assert crowd.granted == ["a", "b"]


async def test_an_extra_slot_is_for_an_owner_that_holds_none_while_the_others_are_taken() -> None:
    crowd = Crowd(FairSlots(2, extra=1))
    await crowd.ask("a", "a", "a")
    assert crowd.granted == ["a", "a"], "its third waits"
    await crowd.ask("b", "b", "c")
    assert crowd.granted == ["a", "a", "b"], "one extra slot in all"
    await crowd.release("b")
    assert crowd.granted == ["a", "a", "b", "c"], "b has had its turn"
    await crowd.release("a")
    assert crowd.granted[4:] == ["b"], "b holds none again, and a has one"
    await crowd.release("c")
    assert crowd.granted[4:] == ["b"], "a has one, and the slots are taken"
    await crowd.release("b")
    assert crowd.granted[4:] == ["b", "a"]


async def test_who_asks_for_alone_waits_for_an_extra_slot_as_well() -> None:
    crowd = Crowd(FairSlots(1, extra=1))
    await crowd.ask("a", "b")
    await crowd.ask("c", alone=True)
    await crowd.release("a")
    assert crowd.granted == ["a", "b"]
    await crowd.release("b")
    assert crowd.granted == ["a", "b", "c"]
    await crowd.ask("d")
    assert crowd.granted == ["a", "b", "c"]


async def test_short_turns_begin_beside_long_ones_one_at_a_time() -> None:
    crowd = Crowd(FairSlots(1, extra=1, kept=1))
    await crowd.ask("a", "b", "c")
    assert crowd.granted == ["a", "b"], "two long turns of two owners hold the slot and the extra one"
    await crowd.ask("a", "c", short=True)
    assert crowd.granted == ["a", "b", "a"], "also of an owner that has a long turn"
    await crowd.release("a", short=True)
    assert crowd.granted == ["a", "b", "a", "c"]


async def test_a_turn_that_is_not_short_stays_only_where_a_long_one_may_begin() -> None:
    crowd = Crowd(FairSlots(1, extra=1, kept=1))
    await crowd.ask("a", short=True)
    assert crowd.slots.lengthen("a"), "it has the slot to itself"
    await crowd.ask("a", short=True)
    assert not crowd.slots.lengthen("a"), "the kept one"
    await crowd.release("a", short=True)
    await crowd.ask("b", short=True)
    assert crowd.slots.lengthen("b"), "the extra one: its owner has no other"


async def test_short_turns_that_are_overdue_let_the_next_one_begin_and_are_bounded() -> None:
    crowd = Crowd(FairSlots(1, extra=1, kept=1))
    await crowd.ask("a", "b")
    await crowd.ask("c", "a", "d", short=True)
    assert crowd.granted == ["a", "b", "c"]
    await crowd.overdue("c")
    assert crowd.granted == ["a", "b", "c", "d"]
    await crowd.overdue("d")
    assert crowd.granted == ["a", "b", "c", "d"], "the bound of all turns"
    await crowd.release("c")
    assert len(crowd.granted) == 5

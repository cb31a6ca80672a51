"""Slots that are shared out fairly: no owner's queue delays another owner's turn by more than one turn (asyncio)."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from itertools import count


@dataclass(eq=False)
class _Waiter:
    owner: str
    alone: bool
    granted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class FairSlots:
    """At most `slots` holders at a time. A free slot goes to the owner that holds the fewest; among those to the one
    that got its last slot the longest ago; and within an owner to the one that has waited the longest.

    `extra` slots are for owners that hold none while all others are taken: two long turns of one owner then do not keep
    everybody else waiting until one of them ends.

    Who asks for `alone` gets a slot when nobody holds one, before all others, and until it is released nobody gets one.
    """

    def __init__(self, slots: int, *, extra: int = 0) -> None:
        self._slots = slots
        self._extra = extra
        self._waiters: list[_Waiter] = []
        self._holding: Counter[str] = Counter()
        self._alone = False
        self._turns = count(1)
        self._last_turn: dict[str, int] = {}

    def waiting(self) -> Counter[str]:
        """How many wait for a slot, by owner."""
        return Counter(waiter.owner for waiter in self._waiters)

    async def acquire(self, owner: str, *, alone: bool = False) -> None:
        """Waits for a slot; call `release` with the same arguments afterwards."""
        waiter = _Waiter(owner, alone)
        self._waiters.append(waiter)
        self._grant()
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                self._grant()
            else:
                self.release(owner, alone=alone)
            raise

    def release(self, owner: str, *, alone: bool = False) -> None:
        """Gives a slot back."""
        self._holding[owner] -= 1
        if alone:
            self._alone = False
        self._grant()
        self._forget(owner)

    def _grant(self) -> None:
        while (waiter := self._next()) is not None:
            self._waiters.remove(waiter)
            self._holding[waiter.owner] += 1
            self._alone = waiter.alone
            self._last_turn[waiter.owner] = next(self._turns)
            waiter.granted.set_result(None)

    def _next(self) -> _Waiter | None:
        """Who gets a slot now (pure)."""
        held = self._holding.total()
        alone = next((waiter for waiter in self._waiters if waiter.alone), None)
        if self._alone or (alone is not None and held):
            return None
        if alone is not None:
            return alone
        waiters = self._waiters
        if held >= self._slots:
            waiters = [waiter for waiter in waiters if not self._holding[waiter.owner]]
            if held >= self._slots + self._extra:
                return None
        return min(
            waiters,
            key=lambda waiter: (self._holding[waiter.owner], self._last_turn.get(waiter.owner, 0)),
            default=None,
        )

    def _forget(self, owner: str) -> None:
        """Keeps nothing of an owner that neither holds a slot nor waits for one."""
        if not self._holding[owner] and all(waiter.owner != owner for waiter in self._waiters):
            del self._holding[owner]
            self._last_turn.pop(owner, None)

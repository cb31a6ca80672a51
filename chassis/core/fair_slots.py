"""Slots that are shared out fairly: no owner's queue delays another owner's turn by more than one turn (asyncio)."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from itertools import count


@dataclass(eq=False)
class _Waiter:
    owner: str
    alone: bool
    short: bool
    granted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class FairSlots:
    """At most `slots` holders at a time. A free slot goes to the owner that holds the fewest; among those to the one
    that got its last slot the longest ago; and within an owner to the one that has waited the longest.

    `extra` slots are for owners that hold none while all others are taken: two long turns of one owner then do not keep
    everybody else waiting until one of them ends.

    `kept` turns are for short ones, beside all others: while fewer short turns than these are held, the next one begins
    whatever else is held, unless its owner holds more than `slots` already. Whether a turn is short its holder
    estimates: `lengthen` says that it is not, `overdue` that it has not been.

    Who asks for `alone` gets a slot when nobody holds one, before all others, and until it is released nobody gets one.
    """

    def __init__(self, slots: int, *, extra: int = 0, kept: int = 0) -> None:
        self._slots = slots
        self._extra = extra
        self._kept = kept
        self._waiters: list[_Waiter] = []
        self._holding: Counter[str] = Counter()
        self._short = 0
        """Short turns that are held."""
        self._alone = False
        self._turns = count(1)
        self._last_turn: dict[str, int] = {}

    def waiting(self) -> Counter[str]:
        """How many wait for a slot, by owner."""
        return Counter(waiter.owner for waiter in self._waiters)

    async def acquire(self, owner: str, *, alone: bool = False, short: bool = False) -> None:
        """Waits for a slot; call `release` with the same arguments afterwards."""
        waiter = _Waiter(owner, alone, short)
        self._waiters.append(waiter)
        self._grant()
        try:
            await waiter.granted
        except asyncio.CancelledError:
            # Not by `_waiters`: a slot may have been granted before the cancellation arrived here.
            if waiter.granted.cancelled():
                self._waiters.remove(waiter)
                self._grant()
            else:
                self.release(owner, alone=alone, short=short)
            raise

    def lengthen(self, owner: str) -> bool:
        """Makes a short turn of the owner a long one, where a long one may begin; False otherwise."""
        held = self._holding.total() - 1
        if not self._has_room(held, self._holding[owner] - 1):
            return False
        self.overdue()
        return True

    def overdue(self) -> None:
        """A short turn, whoever has it, has taken too long to count as one."""
        self._short -= 1
        self._grant()

    def release(self, owner: str, *, alone: bool = False, short: bool = False) -> None:
        """Gives a slot back. `short`: the turn still counts as short."""
        self._holding[owner] -= 1
        self._short -= short
        if alone:
            self._alone = False
        self._grant()
        self._forget(owner)

    def _grant(self) -> None:
        while (waiter := self._next()) is not None:
            self._waiters.remove(waiter)
            self._holding[waiter.owner] += 1
            self._short += waiter.short
            self._alone = waiter.alone
            self._last_turn[waiter.owner] = next(self._turns)
            waiter.granted.set_result(None)

    def _next(self) -> _Waiter | None:
        """Who gets a slot now (pure)."""
        held = self._holding.total()
        # One that was cancelled in this turn of the event loop has not had the time to leave.
        waiters = [waiter for waiter in self._waiters if not waiter.granted.cancelled()]
        alone = next((waiter for waiter in waiters if waiter.alone), None)
        if self._alone or (alone is not None and held):
            return None
        if alone is not None:
            return alone
        return min(
            (waiter for waiter in waiters if self._may_begin(waiter, held)),
            key=lambda waiter: (self._holding[waiter.owner], self._last_turn.get(waiter.owner, 0)),
            default=None,
        )

    def _may_begin(self, waiter: _Waiter, held: int) -> bool:
        held_by_owner = self._holding[waiter.owner]
        if self._has_room(held, held_by_owner):
            return True
        # Overdue turns are bounded as well, so that wrong estimates overload nothing.
        most = self._slots + self._extra + 2 * self._kept
        return waiter.short and self._short < self._kept and held_by_owner <= self._slots and held < most

    def _has_room(self, held: int, held_by_owner: int) -> bool:
        """Whether a long turn may begin (pure)."""
        return held < self._slots or (not held_by_owner and held < self._slots + self._extra)

    def _forget(self, owner: str) -> None:
        """Keeps nothing of an owner that neither holds a slot nor waits for one."""
        if not self._holding[owner] and all(waiter.owner != owner for waiter in self._waiters):
            del self._holding[owner]
            self._last_turn.pop(owner, None)

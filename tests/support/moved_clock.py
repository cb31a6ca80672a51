"""Clocks that a test sets: the wall clock of a process of its own, and that of the Postgres of a database of its own.

    clock = ProcessClock(folder / "clock")          # in the test
    ProcessClock(folder / "clock").install()        # in the process, before it starts anything
    clock.set_by(3600)                              # at any moment: what the process reads is an hour later

    clock = await PostgresClock.install(dsn)        # before the migrations: defaults of columns are bound then
    await clock.set_by(-3600)

Monotonic clocks go on as they are, as they do when an operator sets the time. The times of files are not moved.
"""

import mmap
import struct
import sys
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import asyncpg

_DIFFERENCE = struct.Struct("d")
_OURS = ("chassis.", "media.", "schemas.", "services.", "worker.")


class ProcessClock:
    """By how many seconds the clock is off is in a file that test and process have mapped."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(_DIFFERENCE.pack(0.0))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _DIFFERENCE.size)

    def set_by(self, seconds: float) -> None:
        """From now on the clock is off by so much."""
        _DIFFERENCE.pack_into(self._memory, 0, seconds)

    def difference_s(self) -> float:
        return float(_DIFFERENCE.unpack_from(self._memory, 0)[0])

    def install(self) -> None:
        """Replaces the wall clock of this process, in all modules that are imported by now and in later ones."""
        real_time, real_time_ns, difference = time.time, time.time_ns, self.difference_s

        class MovedDatetime(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> "MovedDatetime":
                return cls.fromtimestamp(real_time() + difference(), tz)

        time.time = lambda: real_time() + difference()
        time.time_ns = lambda: real_time_ns() + int(difference() * 1e9)
        for name, module in list(sys.modules.items()):
            if name.startswith(_OURS) and getattr(module, "datetime", None) is datetime:
                module.datetime = MovedDatetime  # type: ignore[attr-defined]


class PostgresClock:
    """The clock of one database: `now()` and `clock_timestamp()` are replaced by functions that add a difference."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    @classmethod
    async def install(cls, dsn: str) -> "PostgresClock":
        """`dsn` is of a superuser."""
        clock = cls(dsn)
        await clock._execute("CREATE TABLE public.clock AS SELECT interval '0' AS difference")
        for name, volatility in (("now", "STABLE"), ("clock_timestamp", "VOLATILE")):
            await clock._execute(
                f"ALTER FUNCTION pg_catalog.{name}() RENAME TO real_{name};"
                f"CREATE FUNCTION pg_catalog.{name}() RETURNS timestamptz LANGUAGE sql {volatility} PARALLEL SAFE "
                f"AS 'SELECT pg_catalog.real_{name}() + difference FROM public.clock'"
            )
        return clock

    async def set_by(self, seconds: float) -> None:
        """From now on the clock is off by so much."""
        await self._execute("UPDATE public.clock SET difference = $1", timedelta(seconds=seconds))

    async def _execute(self, query: str, *values: object) -> None:
        connection = await asyncpg.connect(self._dsn)
        try:
            await connection.execute(query, *values)
        finally:
            await connection.close()

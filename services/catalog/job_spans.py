"""At which positions of the list the jobs of a time are.

`job_spans` has, for each span of 256 and of 65,536 positions, when its jobs were created. Spans that are partly in the
time are looked at in the smaller size, so that a walk through the list begins at most 256 jobs beside the time. Mostly
the positions are one run; a job that became visible late makes another one.
"""

from collections.abc import Iterable
from typing import NamedTuple

from chassis.adapters.postgres import Connection, sql

SQL = sql.load("services.catalog.sql")
SMALL, LARGE = 256, 65_536
"""Those of migration 0006."""
_MAX_SPAN = 2**62 // LARGE


class Run(NamedTuple):
    """Positions from `first` to `last`, both included; None is open."""

    first: int | None
    last: int | None


EVERYWHERE = (Run(None, None),)


class Span(NamedTuple):
    """The positions from `size * number` on. `whole`: all of its jobs are of the time."""

    size: int
    number: int
    whole: bool

    @property
    def first(self) -> int:
        return self.size * self.number

    @property
    def last(self) -> int:
        return self.first + self.size - 1


async def runs_of_time(connection: Connection, project: str, after: int | None, before: int | None) -> list[Run]:
    """Where the jobs are that were created after and before these Unix milliseconds, in ascending order.

    All of them are there, and few others.
    """
    spans: list[Span] = []
    for large in await _spans(connection, project, LARGE, (0, _MAX_SPAN), (after, before)):
        if large.whole:
            spans.append(large)
        else:
            numbers = (large.first // SMALL, large.last // SMALL)
            spans += await _spans(connection, project, SMALL, numbers, (after, before))
    return merged(spans)


def merged(spans: Iterable[Span]) -> list[Run]:
    """The runs that ascending spans make (pure)."""
    runs: list[tuple[int, int]] = []
    for span in spans:
        if runs and runs[-1][1] + 1 == span.first:
            runs[-1] = (runs[-1][0], span.last)
        else:
            runs.append((span.first, span.last))
    return [Run(*run) for run in runs]


async def _spans(
    connection: Connection, project: str, size: int, numbers: tuple[int, int], time: tuple[int | None, int | None]
) -> list[Span]:
    rows = await connection.fetch(SQL["job_spans"], project, size, *numbers, *time)
    return [Span(size, row["span"], row["whole"]) for row in rows]

"""What a benchmark gives: rows of the table, and figures of two sides that were measured in turn."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """One figure, its bound, and how it came about."""

    what: str
    figure: str
    bound: str
    good: bool
    how: str


@dataclass(frozen=True)
class Pairs:
    """Rates of ours and of a peer, round by round in turn. Noise of the machine meets both sides of a round."""

    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)

    def add(self, ours: float, peer: float) -> None:
        self.ours.append(ours)
        self.peer.append(peer)

    @property
    def ratios(self) -> list[float]:
        return [one / other for one, other in zip(self.ours, self.peer, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    def row(self, what: str, at_least: float, how: str, ours: str, peer: str) -> Row:
        """The row of the ratio. `ours` and `peer` name the sides."""
        return Row(
            what,
            f"{self.ratio:.2f}",
            f"≥ {at_least:g}",
            self.ratio >= at_least,
            f"{how}; {ours} {statistics.median(self.ours):.0f}/s, {peer} {statistics.median(self.peer):.0f}/s; "
            f"ratios {min(self.ratios):.2f} to {max(self.ratios):.2f}",
        )


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| what | figure | bound | how |", "|---|---|---|---|"]
    lines += [f"| {row.what} | **{row.figure}** | {row.bound} | {row.how} |" for row in rows]
    return "\n".join(lines)


def print_rows(rows: Sequence[Row]) -> int:
    """Prints the table; the exit status: 1 where a bound is missed."""
    print(table(rows))
    return 0 if all(row.good for row in rows) else 1

"""The table of a run, as Markdown: for people, and for docs/reliability.md."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.chaos.auditor.records import Audit, Customers

NONE_ALLOWED = (
    "lost",
    "stuck",
    "doubled",
    "wrong end",
    "webhooks missing",
    "webhooks doubled",
    "unreadable",
    "undecodable",
    "leased",
    "unpublished",
    "uncounted attempts",
    "waited too long",
    "dead letters",
    "orphan objects",
    "orphan processes",
    "scratch folders",
    "not ready",
    "unexpected responses",
    "bad ends of processes",
)
SHOWN_IDS = 8


@dataclass
class Result:
    """What a run was, and what came of it."""

    seed: int
    seconds: float
    customers: Customers
    audit: Audit
    injected: Mapping[str, int]
    skipped: Mapping[str, int] = field(default_factory=Counter)
    longest_wait: float = 0.0
    seeded_fault: str | None = None

    @property
    def kept(self) -> bool:
        return not self.audit.violations


def table(result: Result) -> str:
    audit, customers = result.audit, result.customers
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(result.injected.items()))
    skipped = ", ".join(f"{count} {kind} (no disk of its own: not root)" for kind, count in result.skipped.items())
    rows: list[tuple[str, object]] = [
        ("seed", result.seed),
        ("load", f"{result.seconds:.0f} s"),
        ("requests accepted", len(customers.accepted)),
        ("succeeded", audit.of("succeeded")),
        ("failed for cause", audit.of("failed for cause")),
        ("refused in order, and sent again", customers.unavailable),
        ("webhooks (requests)", f"{audit.of('webhooks')} ({audit.of('webhook requests')})"),
        ("attempts at jobs", audit.of("attempts")),
        ("longest wait of an innocent project", f"{result.longest_wait:.0f} s"),
        ("unfinished uploads of killed processes, kept for a day", audit.of("unfinished uploads")),
        ("starts given up while a server was away", audit.of("starts given up")),
        ("stops cut short by their deadline", audit.of("stops cut short")),
        ("faults", faults or "none"),
        *((kind, audit.of(kind)) for kind in NONE_ALLOWED),
    ]
    if skipped:
        rows.append(("faults left out", skipped))
    if result.seeded_fault:
        rows.append(("seeded fault", result.seeded_fault))
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    return "\n".join(lines)


def violations(result: Result) -> str:
    """Each violation with its ids and the evidence."""
    lines = []
    for each in result.audit.violations:
        more = f" and {len(each.ids) - SHOWN_IDS} more" if len(each.ids) > SHOWN_IDS else ""
        lines.append(f"{each.kind}: {', '.join(each.ids[:SHOWN_IDS])}{more}\n    {each.evidence}")
    return "\n".join(lines)

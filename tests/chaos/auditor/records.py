"""What the customers of a run know, and what an audit finds: the interface between load, auditor and report."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass
class Request:
    """A request of a customer, repeated with the same idempotency key until it was accepted.

    `expected` is how it has to end: inputs that are broken on purpose fail. `accepted_at` is on the monotonic clock.
    """

    number: int
    project: str
    kind: Literal["image", "video", "media"]
    path: Literal["/jobs", "/media"]
    expected: Literal["succeeded", "failed"]
    webhook_url: str | None
    id: str | None = None
    accepted_at: float | None = None
    ended_at: float | None = None

    @property
    def metadata(self) -> dict[str, str]:
        """Names the request at every place where its work turns up."""
        return {"request": str(self.number), "written": f"by hand {self.number % 7}"}


@dataclass
class Webhook:
    """One webhook as it was received; `answered` is the status that it got."""

    id: str
    job: str
    path: str
    answered: int


@dataclass
class Customers:
    """All that the customers did and saw."""

    requests: list[Request] = field(default_factory=list)
    webhooks: list[Webhook] = field(default_factory=list)
    fetched_at: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When the input of each request was downloaded, by its number."""
    unexpected: list[str] = field(default_factory=list)
    """Responses that no customer should get."""
    unavailable: int = 0
    """Requests that were refused in order: 429, 503, 507."""
    slowest_refusal_s: float = 0.0

    @property
    def accepted(self) -> list[Request]:
        return [request for request in self.requests if request.id is not None]


@dataclass(frozen=True)
class Target:
    """Where the auditor looks. `catalogs` are addresses; `keys` and `projects` (ids) are by the project's name."""

    dsn: str
    bootstrap: str
    catalogs: tuple[str, ...]
    keys: dict[str, str]
    projects: dict[str, str]
    storage: Path
    work: Path
    run_variable: str
    run_id: str


@dataclass(frozen=True)
class Violation:
    """A promise that was not kept. `kind` is a word of the table; `ids` and `evidence` say where."""

    kind: str
    ids: tuple[str, ...]
    evidence: str


@dataclass
class Audit:
    """The result of an audit: the counts of the table, and what was violated."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)

    def report(self, kind: str, ids: list[str] | tuple[str, ...], evidence: str) -> None:
        """One violation, if there are any ids."""
        if ids:
            self.counts[kind] += len(ids)
            self.violations.append(Violation(kind, tuple(ids), evidence))

    def of(self, kind: str) -> int:
        return self.counts[kind]

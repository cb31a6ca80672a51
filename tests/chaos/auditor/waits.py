"""How long accepted work waited: bounded for customers who send little, whatever another one piles up."""

from collections.abc import Sequence

from tests.chaos.auditor.records import Audit, Customers

ALLOWED_SECONDS = 60.0
"""For a small job without any fault, beside what others have queued."""
ALLOWED_AFTER_FAULT = 45.0
"""A lease, a restart, and the work itself, for each fault that began while the job waited; they overlap."""


def check_waits(
    customers: Customers, faults: Sequence[tuple[float, float]], innocent: Sequence[str], audit: Audit
) -> float:
    """`faults` are (begin, end) on the clock of the requests. Returns the longest wait of an innocent project."""
    longest = 0.0
    for request in customers.accepted:
        if request.project not in innocent or request.accepted_at is None or request.ended_at is None:
            continue
        waited = request.ended_at - request.accepted_at
        longest = max(longest, waited)
        allowed = ALLOWED_SECONDS + disturbed(request.accepted_at, request.ended_at, faults)
        if waited > allowed:
            audit.report("waited too long", [str(request.id)], f"{waited:.0f} s, allowed are {allowed:.0f} s")
    return longest


def disturbed(begin: float, end: float, faults: Sequence[tuple[float, float]]) -> float:
    """For how many of these seconds a fault lasted, or its consequences (pure)."""
    spans = sorted((max(begin, at), min(end, until + ALLOWED_AFTER_FAULT)) for at, until in faults)
    total, reached = 0.0, begin
    for at, until in spans:
        if until > max(at, reached):
            total += until - max(at, reached)
            reached = until
    return total

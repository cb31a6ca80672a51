"""What the services know of a job, as text for people and as JSON for programs (pure)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from chassis.core.redact import masked_url
from chassis.runtime.job_queue.inspection import QueueRow
from chassis.runtime.outbox.inspection import UnpublishedEvent
from cli.job_inspection import WORKERS, InspectedJob
from cli.safe_text import printable, time
from schemas.jobs import Job
from services.catalog.inspection import ProjectedJob
from services.ingest.inspection import AcceptedJob
from services.notifier.inspection import InspectedAttempt, InspectedDelivery
from worker.inspection import QueuedJob

Facts = Iterable[tuple[str, str]]
_COUNTS = {
    "failures": "failed",
    "deferrals": "deferred for the input's server",
    "postponements": "postponed for a fault of ours",
    "crashed": "ended with their worker",
    "crashed_alone": "ended with their worker while alone in it",
    "crashed_waiting": "ended with their worker while waiting",
}
"""Fields of a queue's row that count attempts -> what became of these."""


def job_fields(found: InspectedJob) -> dict[str, Any]:
    """All of it for programs; null where a service knows nothing. Times in Unix milliseconds."""
    accepted, projected = found.accepted, found.projected
    return {
        "id": found.id,
        "ingest": accepted and {**asdict(accepted), "webhook_url": accepted.shown_webhook_url},
        "workers": {service: asdict(queued) for service, queued in found.queued.items()},
        "catalog": projected and {"position": projected.position, **_projected_fields(projected.job)},
        "webhook": found.delivery and asdict(found.delivery),
        "unavailable": found.unavailable,
    }


def job_text(found: InspectedJob) -> str:
    """A paragraph for each service, in the order in which a job passes them."""
    lines = [found.id]
    lines += _paragraph("ingest", _accepted(found.accepted), found.unavailable)
    for service in WORKERS:
        queued = found.queued.get(service)
        if queued is not None or service in found.unavailable:
            lines += _paragraph(service, _queued(queued), found.unavailable)
    if not found.queued:
        lines += ["workers", "  no worker has it in its queue"]
    lines += _paragraph("catalog", _projected(found.projected), found.unavailable)
    if found.webhook_url is not None:
        lines += _paragraph("notifier", _delivery(found.delivery), found.unavailable)
    return "\n".join(lines)


def _paragraph(service: str, facts: Facts, unavailable: Any) -> Iterator[str]:
    yield service
    if service in unavailable:
        yield "  could not be asked"
        return
    for name, text in facts:
        if text:
            yield f"  {name:<13} {printable(text)}"


def _accepted(job: AcceptedJob | None) -> Facts:
    if job is None:
        return [("accepted", "no")]
    return [
        ("accepted", time(job.created_at)),
        ("project", job.project),
        ("kind", job.kind),
        ("input", job.input),
        ("media item", job.media_id or ""),
        ("webhook", job.shown_webhook_url or ""),
        ("ended", f"{job.ended} {time(job.ended_at)}" if job.ended else "not yet"),
        *_outbox(job.unpublished),
    ]


def _queued(job: QueuedJob | None) -> Facts:
    return [] if job is None else [*_queue(job.queue), *_outbox(job.unpublished)]


def _queue(row: QueueRow) -> Facts:
    state = row.state
    if row.state == "running":
        state += ", its lease has expired" if row.lease_expired else ", waiting" if row.waiting else ""
        state += ", alone in its worker" if row.alone else ""
    counts = [f"{getattr(row, name)} {text}" for name, text in _COUNTS.items() if getattr(row, name)]
    return [
        ("state", state),
        ("cancellation", "requested" if row.cancel_requested and row.finished_at is None else ""),
        ("attempts", ", ".join([str(row.attempt), *counts])),
        ("step", row.step or ""),
        ("worker", f"{row.worker}, lease until {time(row.lease_until)}" if row.worker else ""),
        ("last error", row.last_error or ""),
        ("queued", time(row.created_at)),
        ("first attempt", time(row.started_at)),
        ("next attempt", time(row.next_attempt_at)),
        ("ended", time(row.finished_at)),
    ]


def _outbox(events: Sequence[UnpublishedEvent]) -> Facts:
    if not events:
        return [("outbox", "everything is published")]
    return [
        (
            "outbox",
            f"{each.type} since {time(each.created_at)}: "
            + (f"Kafka refuses it: {each.quarantine_reason}" if each.quarantine_reason else "not in Kafka yet"),
        )
        for each in events
    ]


def _projected(projected: ProjectedJob | None) -> Facts:
    if projected is None:
        return [("status", "no event about it was read yet")]
    job = projected.job
    return [
        ("status", f"{job.status}, {job.error.kind}: {job.error.message}" if job.error else job.status),
        ("created", time(job.created_at)),
        ("started", time(job.started_at)),
        ("next attempt", time(job.retry_at)),
        ("ended", time(job.finished_at)),
        ("last change", time(job.updated_at)),
        *(
            (
                f"step {task.kind}",
                " ".join(part for part in (task.status, time(task.started_at), time(task.finished_at)) if part)
                + (f", {task.error.kind}" if task.error else ""),
            )
            for task in job.tasks
        ),
    ]


def _delivery(delivery: InspectedDelivery | None) -> Facts:
    if delivery is None:
        return [("delivery", "none yet: the job has not ended here, or it was purged")]
    reason = f": {delivery.reason}" if delivery.reason else ""
    return [
        ("delivery", delivery.id),
        ("address", delivery.url),
        ("state", f"{delivery.state}{reason} {time(delivery.closed_at)}".rstrip()),
        *((f"attempt {each.number}", _attempt(each)) for each in delivery.attempts),
        ("next attempt", time(delivery.queue.next_attempt_at) if delivery.queue else ""),
    ]


def _attempt(attempt: InspectedAttempt) -> str:
    result = "no result" if attempt.finished_at is None else str(attempt.status or attempt.error)
    took = "" if attempt.seconds is None else f" in {attempt.seconds:.2f} s"
    at = "" if attempt.address is None else f" from {attempt.address}"
    return f"{time(attempt.started_at)} {result}{at}{took}"


def _projected_fields(job: Job) -> dict[str, Any]:
    fields = job.model_dump(
        mode="json", exclude={"encrypted_input", "encrypted_webhook_url", "connection", "source", "output"}
    )
    webhook_url = None if job.webhook_url is None else masked_url(job.webhook_url)
    return {**fields, "input": masked_url(job.input), "webhook_url": webhook_url}

"""What the catalog logs of each event that it projects: every id can be found."""

from typing import Any

from structlog.testing import capture_logs

from schemas.events import JobCreated, JobProgressed, JobStarted, JobSucceeded, MediaAccepted, MediaCreated
from tests.services.catalog import factories
from tests.services.catalog.conftest import Tables


def lines_of(lines: Any, event: str) -> list[tuple[str, str, list[str]]]:
    """Level, status and ids of each line."""
    field = event.split("_", maxsplit=1)[0].removesuffix("s") + "_ids"
    return [(line["log_level"], line["status"], line[field]) for line in lines if line["event"] == event]


async def test_a_job_is_logged_for_each_newer_snapshot_and_progress_for_debugging(tables: Tables, project: str) -> None:
    snapshots = factories.snapshots(factories.queued(project))
    ids = [snapshots[0].id]
    with capture_logs() as lines:
        await tables.projection.jobs(factories.prepared([JobCreated(job=snapshots[0])]))
        await tables.projection.jobs(factories.prepared([JobStarted(job=snapshots[1])]))
        await tables.projection.progress(factories.prepared([JobProgressed(job=snapshots[2])]))
        await tables.projection.jobs(factories.prepared([JobSucceeded(job=snapshots[-1])]))
        await tables.projection.jobs(factories.prepared([JobSucceeded(job=snapshots[-1])]))
        await tables.projection.jobs(factories.prepared([JobStarted(job=snapshots[1])]))
    assert lines_of(lines, "jobs_projected") == [
        ("info", "queued", ids),
        ("info", "processing", ids),
        ("debug", "processing", ids),
        ("info", "succeeded", ids),
    ]


async def test_a_batch_is_logged_in_one_line_per_status(tables: Tables, project: str) -> None:
    jobs = sorted((factories.queued(project) for _ in range(3)), key=lambda job: job.id)
    ended = factories.snapshots(jobs[1])[-1]
    with capture_logs() as lines:
        await tables.projection.jobs(
            factories.prepared([*(JobCreated(job=job) for job in jobs), JobSucceeded(job=ended)])
        )
    found = sorted(lines_of(lines, "jobs_projected"))
    assert found == [("info", "queued", [jobs[0].id, jobs[2].id]), ("info", "succeeded", [ended.id])]


async def test_a_media_item_is_logged_with_its_jobs(tables: Tables, project: str) -> None:
    accepted = factories.item(project, version=1, status="processing", original=None, original_path=None)
    created = accepted.model_copy(
        update={
            "version": 2,
            "status": "active",
            "original": factories.original(accepted.id, key=f"{accepted.project}/media/x.mp4"),
        }
    )
    job = factories.queued(project, media_id=accepted.id)
    with capture_logs() as lines:
        await tables.projection.media_created(factories.prepared([MediaCreated(media=created, jobs=[job])]))
        await tables.projection.media_changed(factories.prepared([MediaAccepted(media=accepted)]))
    assert lines_of(lines, "media_projected") == [("info", "active", [accepted.id])]
    assert lines_of(lines, "jobs_projected") == [("info", "queued", [job.id])]

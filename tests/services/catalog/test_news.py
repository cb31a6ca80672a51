"""What the catalog says of each thing that it has heard of: one line, to be found by the thing's id."""

from typing import Any

from structlog.testing import capture_logs

from schemas.events import JobCreated, JobProgressed, JobStarted, JobSucceeded, MediaAccepted, MediaCreated
from tests.services.catalog import made
from tests.services.catalog.conftest import Tables


def told(lines: Any) -> list[tuple[str, str]]:
    return [(line["log_level"], line["status"]) for line in lines if line["event"] == "projected"]


async def test_each_news_of_a_job_is_one_line_and_progress_is_for_debugging(tables: Tables, project: str) -> None:
    life = made.life(made.queued(project))
    with capture_logs() as lines:
        await tables.projection.job(JobCreated(job=life[0]))
        await tables.projection.job(JobStarted(job=life[1]))
        await tables.projection.job(JobProgressed(job=life[2]))
        await tables.projection.job(JobSucceeded(job=life[-1]))
        await tables.projection.job(JobSucceeded(job=life[-1]))
        await tables.projection.job(JobStarted(job=life[1]))
    assert told(lines) == [("info", "queued"), ("info", "processing"), ("debug", "processing"), ("info", "succeeded")]
    assert {(line["job_id"], line["project"]) for line in lines} == {(life[0].id, project)}


async def test_each_news_of_a_media_item_is_one_line(tables: Tables, project: str) -> None:
    accepted = made.item(project, version=1, status="processing", original=None, original_path=None)
    created = accepted.model_copy(update={"version": 2, "status": "active", "original": made.original(accepted.id)})
    job = made.queued(project, media_id=accepted.id)
    with capture_logs() as lines:
        await tables.projection.media_created(MediaCreated(media=created, jobs=[job]))
        await tables.projection.media_changed(MediaAccepted(media=accepted))
    assert told(lines) == [("info", "active"), ("info", "queued")]
    assert [(line.get("media_id"), line.get("job_id")) for line in lines] == [(accepted.id, None), (None, job.id)]

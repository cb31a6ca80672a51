"""The estimated work of a queued image job."""

from schemas.files import File
from services.thumbnailer.plan import estimate
from tests.services.worker_harness import queued_job


def test_a_poster_of_a_long_video_is_little_work() -> None:
    source = File(id="file_1", key="k", kind="video", format="mp4", content_type="video/mp4", filesize=1, duration=3600)
    assert estimate(queued_job("image", "media:original", {}, source=source), source.duration) == 1

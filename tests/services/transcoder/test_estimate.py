"""The estimated work of a queued video job."""

from typing import Any

import pytest

from schemas.files import File
from services.transcoder.plan import estimate
from tests.services.worker_harness import queued_job

SOURCE = File(id="file_1", key="k", kind="video", format="mp4", content_type="video/mp4", filesize=1, duration=3600)


@pytest.mark.parametrize(
    ("source", "options", "seconds"),
    [
        (SOURCE, {}, 3600),
        (SOURCE, {"start": 600}, 3000),
        (SOURCE, {"start": 600, "end": 660}, 60),
        (SOURCE, {"end": 9999}, 3600),
        (SOURCE, {"start": 9999}, 1),
        (SOURCE.model_copy(update={"duration": None}), {}, 20),
        (None, {}, 20),
        (None, {"start": 5, "end": None}, 20),
        (None, {"start": 5, "end": 105}, 100),
    ],
)
def test_an_encode_takes_as_long_as_its_output_plays(
    source: File | None, options: dict[str, Any], seconds: float
) -> None:
    job = queued_job("video", "https://example.com/a.mp4", options, source=source)
    assert estimate(job, source.duration if source else None) == seconds

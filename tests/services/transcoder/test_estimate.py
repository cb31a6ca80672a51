"""How much work a video job is thought to be while it waits."""

from typing import Any

import pytest

from schemas.files import File
from services.transcoder.plan import estimate
from tests.services.running import queued

FILM = File(id="file_1", key="k", kind="video", format="mp4", content_type="video/mp4", filesize=1, duration=3600)


@pytest.mark.parametrize(
    ("source", "options", "seconds"),
    [
        (FILM, {}, 3600),
        (FILM, {"start": 600}, 3000),
        (FILM, {"start": 600, "end": 660}, 60),
        (FILM, {"end": 9999}, 3600),
        (FILM, {"start": 9999}, 1),
        (FILM.model_copy(update={"duration": None}), {}, 20),
        (None, {}, 20),
        (None, {"start": 5, "end": None}, 20),
        (None, {"start": 5, "end": 105}, 100),
    ],
)
def test_an_encode_is_as_much_work_as_its_film_is_long(
    source: File | None, options: dict[str, Any], seconds: float
) -> None:
    assert estimate(queued("video", "https://example.com/a.mp4", options, source=source)) == seconds

"""How much work an image job is thought to be while it waits."""

from schemas.files import File
from services.thumbnailer.plan import estimate
from tests.services.running import queued


def test_a_poster_of_a_long_film_is_little_work() -> None:
    film = File(id="file_1", key="k", kind="video", format="mp4", content_type="video/mp4", filesize=1, duration=3600)
    assert estimate(queued("image", "media:original", {}, source=film)) == 1

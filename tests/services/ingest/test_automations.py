"""The jobs that a stored original gets."""

import pytest

from schemas.api import MediaRequest
from schemas.files import File, MediaKind
from schemas.media import MediaItem
from services.ingest import transitions
from services.ingest.automations import DEFAULT_MEDIA_JOBS, MediaJob, bounded, jobs_for, media_jobs

MEDIA = "med_01h455vb4pex5vsknk084sn02q"


def original(kind: MediaKind, width: int | None = 1920, height: int | None = 1080) -> File:
    return File(
        id="file_01h455vb4pex5vsknk084sn02q",
        key="k",
        kind=kind,
        format="mp4",
        content_type="video/mp4",
        filesize=1,
        width=width,
        height=height,
    )


def item(kind: MediaKind) -> MediaItem:
    request = MediaRequest(url="https://example.com/a", filename="a.mp4")
    accepted = transitions.accepted(request, id=MEDIA, project="prj_1", at=1)
    return transitions.stored(accepted, original(kind), 2)


@pytest.mark.parametrize("kind", ["image", "video"])
def test_images_and_videos_get_a_poster_from_their_stored_original(kind: MediaKind) -> None:
    (job,) = jobs_for(item(kind), DEFAULT_MEDIA_JOBS, base="http://cdn", at=3)
    assert (job.kind, job.ref, job.media_id, job.options) == (
        "image",
        "poster",
        MEDIA,
        {"format": "jpeg", "width": 1280},
    )
    assert job.source == original(kind)
    assert job.input == "http://cdn/prj_1/media/a.mp4"


def test_audio_gets_no_poster() -> None:
    assert jobs_for(item("audio"), DEFAULT_MEDIA_JOBS, base="http://cdn", at=3) == []


def test_a_repeated_import_requests_the_same_jobs() -> None:
    first = jobs_for(item("video"), DEFAULT_MEDIA_JOBS, base="b", at=3)
    again = jobs_for(item("video"), DEFAULT_MEDIA_JOBS, base="b", at=9)
    assert [job.id for job in first] == [job.id for job in again]


def test_a_video_is_made_from_videos_only() -> None:
    templates = media_jobs('[{"kind": "video", "ref": "web", "options": {"height": 720}}]')
    assert jobs_for(item("image"), templates, base="b", at=3) == []
    assert [job.options for job in jobs_for(item("video"), templates, base="b", at=3)] == [{"height": 720}]


@pytest.mark.parametrize(
    ("kind", "options", "size", "expected"),
    [
        ("image", {"width": 1280}, (641, 480), {"width": 641}),
        ("video", {"width": 1280}, (641, 480), {"width": 640}),
        ("video", {"width": 1280}, (1, 480), {"width": 2}),
        ("image", {"height": 100}, (641, 480), {"height": 100}),
        ("image", {"width": 1280, "height": 720}, (64, 48), {"width": 1280, "height": 720}),
        ("image", {}, (64, 48), {}),
        ("image", {"width": 100}, (None, None), {"width": 100}),
        ("image", {"width": 1280}, (790, 12_000), {"height": 8192}),
        ("image", {"width": 1280}, (1280, 8192), {"width": 1280}),
        ("image", {"height": 720}, (16_382, 720), {"width": 8192}),
        ("video", {"width": 1280}, (100, 20_000), {"height": 8192}),
    ],
)
def test_a_single_side_is_an_upper_bound(
    kind: str, options: dict[str, int], size: tuple[int | None, int | None], expected: dict[str, int]
) -> None:
    template = MediaJob.model_validate({"kind": kind, "ref": "r", "options": options})
    assert bounded(template, original("video", *size)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[{"kind": "audio", "ref": "a"}]', "kind"),
        ('[{"kind": "image", "ref": "title"}]', "must not be the name of another field"),
        ('[{"kind": "image", "ref": "Poster!"}]', "ref"),
        ('[{"kind": "image", "ref": "a", "options": {"width": 0}}]', "width must be at least 2"),
        ('[{"kind": "image", "ref": "a"}, {"kind": "image", "ref": "a"}]', "each ref once"),
        ("[", "JSON"),
    ],
)
def test_an_invalid_setting_is_explained(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        media_jobs(text)
    assert reason in str(caught.value)


def test_the_default_can_be_written_as_it_is_shown() -> None:
    assert media_jobs(",".join(str(template) for template in DEFAULT_MEDIA_JOBS)) == DEFAULT_MEDIA_JOBS


def test_no_templates_is_a_setting_too() -> None:
    assert media_jobs("[]") == ()

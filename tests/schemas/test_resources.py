"""Jobs and media items as customers see them, key by key."""

from typing import Any

from schemas.api import JOB_REQUEST
from schemas.delivery import DeliveryUrls
from schemas.events import JobCreated
from schemas.faults import WARNINGS, Fault, output_warning
from schemas.files import Codecs, File, Output
from schemas.ids import derived
from schemas.job_resource import job_resource
from schemas.jobs import Job
from schemas.media import Derived, MediaItem
from schemas.media_resource import iso, media_resource
from schemas.reading import read_event

PROJECT = "prj_01h455vb4pex5vsknk084sn02q"
JOB = "job_01h455vb4pex5vsknk084sn02q"
MEDIA = "med_01h455vb4pex5vsknk084sn02q"
BASE = "https://cdn.example.com"
URLS = DeliveryUrls(BASE)
AT = 1_725_030_000_500


def queued(**fields: Any) -> Job:
    given: dict[str, Any] = {
        "id": JOB,
        "kind": "video",
        "input": "https://example.com/clip.mov",
        "options": {"width": 1280, "format": "mp4"},
        "metadata": {"user_id": "usr_abc123"},
        "webhook_url": "https://example.com/hook",
        "at": AT,
    }
    return Job.queued(project=PROJECT, **(given | fields))


OUTPUT = Output(
    id=derived("file", JOB, "output"),
    key="somewhere/inside.mp4",
    kind="video",
    format="mp4",
    content_type="video/mp4",
    filesize=12345,
    width=1280,
    height=720,
    duration=6.04,
    fps=25.0,
    codecs=Codecs(video="h264", audio="aac"),
    path=f"{JOB}/video.mp4",
)
ORIGINAL = File(
    id=derived("file", MEDIA, "original"),
    key="inside/original.mp4",
    kind="video",
    format="mp4",
    content_type="video/mp4",
    filesize=1000,
    width=1920,
    height=1080,
    duration=60.0,
    fps=30.0,
    codecs=Codecs(video="h264"),
)
POSTER = File(
    id=derived("file", MEDIA, "poster"),
    key="inside/poster.jpg",
    kind="image",
    format="jpeg",
    content_type="image/jpeg",
    filesize=234,
    width=1080,
    height=1080,
)


def item(**fields: Any) -> MediaItem:
    given: dict[str, Any] = {
        "title": "My Video Upload",
        "folder": "your/folder/path",
        "filename": "new-filename.mp4",
        "original_path": "your/folder/path/new-filename.mp4",
        "original": ORIGINAL,
        "files": [Derived(ref="poster", path=f"your/folder/path/{MEDIA}/poster.jpg", file=POSTER)],
        "placeholder": "data:image/webp;base64,AAAA",
        "background": "#FF94A4",
        "metadata": {"user_id": "123", "source": "YourApp/iOS"},
    }
    base = {"id": MEDIA, "project": PROJECT, "version": 1, "status": "active", "created_at": AT, "updated_at": AT}
    return MediaItem(**(base | given | fields))


def test_a_waiting_job_has_no_output_no_error_and_its_steps() -> None:
    body = job_resource(queued(), URLS)
    assert list(body) == [
        "id",
        "object",
        "kind",
        "status",
        "progress",
        "input",
        "options",
        "metadata",
        "output",
        "error",
        "tasks",
        "media_id",
        "label",
        "webhook_url",
        "created_at",
        "started_at",
        "finished_at",
        "updated_at",
        "retry_at",
        "run",
        "earlier_runs",
        "priority",
        "eta_ms",
        "queue_position",
        "destination",
        "connection_id",
    ]
    assert (body["object"], body["status"], body["output"], body["error"]) == ("job", "queued", None, None)
    assert (body["created_at"], body["started_at"], body["finished_at"]) == (AT, None, None)
    assert [task["kind"] for task in body["tasks"]] == ["import", "probe", "video", "export"]
    assert [task["options"] for task in body["tasks"]] == [{}, {}, body["options"], {}]


def test_a_finished_job_shows_its_output_and_nothing_of_where_it_is_stored() -> None:
    body = job_resource(queued().start(AT + 1).succeed(OUTPUT, AT + 2), URLS)
    assert body["output"] == {
        "id": OUTPUT.id,
        "object": "file",
        "url": f"{BASE}/{PROJECT}/{JOB}/video.mp4",
        "kind": "video",
        "format": "mp4",
        "codecs": {"video": "h264", "audio": "aac"},
        "width": 1280,
        "height": 720,
        "duration": 6.04,
        "filesize": 12345,
        "warnings": [],
    }
    assert (body["progress"], body["finished_at"]) == (1.0, AT + 2)
    assert {task["status"] for task in body["tasks"]} == {"succeeded"}
    assert "inside" not in str(body)


def test_a_finished_job_shows_what_was_rescued_from_its_input() -> None:
    output = OUTPUT.model_copy(update={"warnings": [output_warning("damage_skipped")]})
    body = job_resource(queued().start(AT + 1).succeed(output, AT + 2), URLS)
    assert body["output"] is not None
    assert body["output"]["warnings"] == [{"kind": "damage_skipped", "message": WARNINGS["damage_skipped"]}]


def test_a_failed_job_says_why_and_which_step_it_was() -> None:
    body = job_resource(queued().start(AT + 1).fail(Fault(kind="input_empty", message="no bytes"), AT + 2), URLS)
    assert body["error"] == {"kind": "input_empty", "message": "no bytes"}
    assert body["output"] is None
    assert [task["status"] for task in body["tasks"]] == ["failed", "cancelled", "cancelled", "cancelled"]


def test_a_job_under_the_older_name_is_a_task() -> None:
    assert job_resource(queued(id=JOB.replace("job_", "task_")), URLS)["object"] == "task"


def test_a_running_job_says_how_long_it_will_probably_take_and_a_queued_one_its_place() -> None:
    running = queued().start(AT).step("video", AT, 0.0).step("video", AT + 10_000, 0.25)
    assert job_resource(running, URLS, queue_position=3)["eta_ms"] == 30_000
    assert job_resource(running, URLS, at=AT + 12_000)["eta_ms"] == 28_000
    assert job_resource(running, URLS, queue_position=3)["queue_position"] is None
    waiting = job_resource(queued(), URLS, queue_position=3)
    assert (waiting["eta_ms"], waiting["queue_position"]) == (None, 3)


def test_a_media_item_shows_what_the_published_example_shows() -> None:
    body = media_resource(item(), URLS)
    original = f"{BASE}/{PROJECT}/your/folder/path/new-filename.mp4"
    poster = f"{BASE}/{PROJECT}/your/folder/path/{MEDIA}/poster.jpg"
    sources = body["sources"]
    assert {name: value for name, value in body.items() if name != "sources"} == {
        "id": MEDIA,
        "object": "media",
        "title": "My Video Upload",
        "folder": "your/folder/path",
        "filename": "new-filename.mp4",
        "kind": "video",
        "width": 1920,
        "height": 1080,
        "duration": 60.0,
        "fps": 30.0,
        "filesize": 1000,
        "total_filesize": 1234,
        "tracks": [],
        "intelligence": [],
        "original": original,
        "poster": poster,
        "placeholder": "data:image/webp;base64,AAAA",
        "background": "#FF94A4",
        "metadata": {"user_id": "123", "source": "YourApp/iOS"},
        "status": "active",
        "error": None,
        "created": "2024-08-30T15:00:00Z",
        "updated": "2024-08-30T15:00:00Z",
        "retry_at": None,
    }
    assert [(source["url"], source["label"], source["original"]) for source in sources] == [
        (original, None, True),
        (poster, "poster", False),
    ]
    assert [(source["orientation"], source["codec"]) for source in sources] == [("landscape", "h264"), ("square", None)]
    assert (sources[1]["folder"], sources[1]["filename"]) == (f"your/folder/path/{MEDIA}", "poster.jpg")


def test_an_item_that_is_being_fetched_has_everything_there_and_null() -> None:
    bare = item(
        status="processing",
        original=None,
        original_path=None,
        files=[],
        placeholder=None,
        background=None,
        title=None,
        folder=None,
        filename=None,
    )
    body = media_resource(bare, URLS)
    assert (body["sources"], body["total_filesize"], body["status"]) == ([], 0, "processing")
    for name in ("title", "folder", "filename", "kind", "width", "duration", "fps", "filesize", "original"):
        assert body[name] is None, name


def test_a_failed_item_says_why() -> None:
    body = media_resource(item(status="failed", error=Fault(kind="input_not_found", message="404")), URLS)
    assert body["error"] == {"kind": "input_not_found", "message": "404"}


def test_addresses_are_joined_with_one_slash_and_encoded() -> None:
    assert DeliveryUrls(f"{BASE}/").url(PROJECT, "a b/é.mp4") == f"{BASE}/{PROJECT}/a%20b/%C3%A9.mp4"


def test_times_are_whole_seconds_in_utc() -> None:
    assert iso(0) == "1970-01-01T00:00:00Z"
    assert iso(AT) == "2024-08-30T15:00:00Z"


WRITTEN = {"z": "1", "a": "2", "key 10": "3", "key 9": "4", "": "5"}
"""Neither in the order of the alphabet nor of length, which is how `jsonb` would sort it."""


def test_metadata_keeps_the_customer_s_order_from_the_request_to_the_response() -> None:
    order = list(WRITTEN)[:-1]
    request = JOB_REQUEST.validate_python(
        {"input": "https://example.com/a", "kind": "video", "metadata": {key: WRITTEN[key] for key in order}}
    )
    job = queued(metadata=request.metadata)
    assert list(job_resource(job, URLS)["metadata"]) == order
    published = read_event(JobCreated.TYPE, JobCreated(job=job).model_dump_json().encode()).event
    assert isinstance(published, JobCreated)
    assert list(published.job.metadata) == order
    assert list(job_resource(published.job.start(AT + 1).succeed(OUTPUT, AT + 2), URLS)["metadata"]) == order
    stored = MediaItem.model_validate_json(item(metadata=WRITTEN).model_dump_json())
    assert list(media_resource(stored, URLS)["metadata"]) == list(WRITTEN)


def test_a_file_of_an_unknown_kind_is_shown_as_unknown() -> None:
    output = Output.model_validate(OUTPUT.model_dump() | {"kind": "subtitles"})
    body = job_resource(queued().start(AT + 1).succeed(output, AT + 2), URLS)
    assert body["output"] is not None
    assert body["output"]["kind"] == "unknown"

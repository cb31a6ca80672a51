"""The transitions of a media item."""

import itertools

from schemas.api import MediaRequest
from schemas.delivery import DeliveryUrls
from schemas.faults import Fault
from schemas.files import File, Output
from schemas.ids import derived
from schemas.jobs import Job
from schemas.media import MediaItem
from schemas.media_resource import media_resource
from services.ingest import transitions

PROJECT = "prj_01h455vb4pex5vsknk084sn02q"
MEDIA = "med_01h455vb4pex5vsknk084sn02q"
ORIGINAL = File(
    id=derived("file", MEDIA, "original"),
    key="k",
    kind="video",
    format="mp4",
    content_type="video/mp4",
    filesize=10,
    width=640,
    height=360,
)


def accepted(**fields: object) -> MediaItem:
    request = MediaRequest.model_validate({"url": "https://example.com/a.mp4?signature=1", **fields})
    return transitions.accepted(request, id=MEDIA, project=PROJECT, at=1000)


def finished(job_id: str = "job_01h455vb4pex5vsknk084sn02q", ref: str = "poster") -> Job:
    job = Job.queued(
        id=job_id, project=PROJECT, kind="image", input="i", options={}, metadata={}, at=1000, media_id=MEDIA, ref=ref
    )
    output = Output(
        id=derived("file", job_id, "output"),
        key="k2",
        kind="image",
        format="jpeg",
        content_type="image/jpeg",
        filesize=5,
        placeholder="data:image/webp;base64,AAAA",
        background="#FF94A4",
        path=f"{MEDIA}/{ref}.jpg",
    )
    return job.succeed(output, 2000)


def test_an_accepted_item_is_version_1_in_processing_and_does_not_keep_the_address() -> None:
    item = accepted(filename="clip.mp4", folder="a/b", metadata={"k": "v"})
    assert (item.version, item.status, item.url) == (1, "processing", None)
    assert (item.title, item.filename, item.folder, item.metadata) == ("clip.mp4", "clip.mp4", "a/b", {"k": "v"})


def test_a_stored_item_is_active_and_gets_defaults_for_missing_names() -> None:
    item = transitions.stored(accepted(), ORIGINAL, 2000)
    filename = f"{ORIGINAL.id}.mp4"
    assert (item.version, item.status, item.updated_at) == (2, "active", 2000)
    assert (item.filename, item.title, item.folder) == (filename, filename, None)
    assert item.original_path == f"media/{filename}"


def test_a_stored_item_keeps_the_names_of_its_customer() -> None:
    item = transitions.stored(accepted(title="Holiday", filename="clip", folder="f"), ORIGINAL, 2000)
    assert (item.title, item.filename, item.original_path) == ("Holiday", "clip", "f/clip")


def test_a_failed_item_has_its_reason() -> None:
    error = Fault(kind="input_not_found", message="m")
    item = transitions.failed(accepted(), error, 2000)
    assert (item.version, item.status, item.error) == (2, "failed", error)


def test_the_time_of_an_item_never_goes_backwards() -> None:
    assert transitions.stored(accepted(), ORIGINAL, 5).updated_at == 1000


def test_a_poster_sets_placeholder_and_background() -> None:
    item = transitions.attached(transitions.stored(accepted(), ORIGINAL, 2000), finished(), 3000)
    assert item is not None
    assert (item.version, item.placeholder, item.background) == (3, "data:image/webp;base64,AAAA", "#FF94A4")
    (made,) = item.files
    assert (made.ref, made.path) == ("poster", f"media/{MEDIA}/poster.jpg")
    assert (made.file.placeholder, made.file.background) == (None, None)


def test_another_label_leaves_placeholder_and_background_alone() -> None:
    item = transitions.attached(transitions.stored(accepted(), ORIGINAL, 2000), finished(ref="small"), 3000)
    assert item is not None
    assert (item.placeholder, item.background) == (None, None)


def test_the_same_result_changes_an_item_once() -> None:
    item = transitions.attached(transitions.stored(accepted(), ORIGINAL, 2000), finished(), 3000)
    assert item is not None
    assert transitions.attached(item, finished(), 4000) is None


def test_the_files_are_the_same_in_any_order_of_results() -> None:
    results = [
        finished("job_01h455vb4pex5vsknk084sn02q"),
        finished("job_01h455vb4qex5vsknk084sn02q"),
        finished("job_01h455vb4qex5vsknk084sn02r", ref="small"),
    ]
    ends = set()
    for order in itertools.permutations([*results, results[0]]):
        item = transitions.stored(accepted(), ORIGINAL, 2000)
        for job in order:
            item = transitions.attached(item, job, 3000) or item
        ends.add(tuple((made.ref, made.path, made.file.id) for made in item.files))
    older, younger, small = (derived("file", job.id, "output") for job in results)
    files = [(older, f"media/{MEDIA}/{older}.jpg", older), ("poster", f"media/{MEDIA}/poster.jpg", younger)]
    assert ends == {(*files, ("small", f"media/{MEDIA}/small.jpg", small))}


def test_only_the_file_that_has_the_label_poster_sets_placeholder_and_background() -> None:
    older, younger = finished("job_01h455vb4pex5vsknk084sn02q"), finished("job_01h455vb4qex5vsknk084sn02q")
    assert older.output is not None
    other = older.model_copy(update={"output": older.output.model_copy(update={"background": "#000000"})})
    item = transitions.attached(transitions.stored(accepted(), ORIGINAL, 2000), younger, 3000)
    assert item is not None
    item = transitions.attached(item, other, 4000)
    assert item is not None and item.background == "#FF94A4"


def test_a_file_without_a_label_is_a_source_and_no_field_of_the_item() -> None:
    id = derived("file", "job_01h455vb4pex5vsknk084sn02q", "output")
    item = transitions.attached(transitions.stored(accepted(), ORIGINAL, 2000), finished(ref=id), 3000)
    assert item is not None
    shown = media_resource(item, DeliveryUrls("https://cdn"))
    made = shown["sources"][1]
    assert (made["id"], made["label"], made["original"]) == (id, None, False)
    assert made["url"] == f"https://cdn/{PROJECT}/media/{MEDIA}/{id}.jpg"
    assert id not in shown

"""Events of other releases: what is not known is read as `unknown` and reported, and stops nothing."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.events import EVENTS, JobFailed, JobSucceeded, MediaUpdated
from schemas.faults import Fault
from schemas.files import File, Output
from schemas.ids import typeid, uuid7
from schemas.jobs import Job, supersedes
from schemas.media import MediaItem
from schemas.reading import UnknownValue, read_event

ID = typeid("job", uuid7(1_000, b"0123456789"))
PROJECT = typeid("prj", uuid7(1_000, b"0123456789"))
OUTPUT = Output(
    id="file_x", key="k", kind="video", format="mp4", content_type="video/mp4", filesize=1, path="job/video.mp4"
)


def queued() -> Job:
    return Job.queued(
        id=ID,
        project=PROJECT,
        kind="video",
        input="https://example.com/a",
        options={"quality": "unknown"},
        metadata={"kind": "unknown"},
        at=1_000,
    )


def succeeded() -> dict[str, Any]:
    event = JobSucceeded(job=queued().start(2_000).succeed(OUTPUT, 3_000))
    document: dict[str, Any] = json.loads(event.model_dump_json())
    return document


def read(document: dict[str, Any], type_: str = JobSucceeded.TYPE) -> tuple[Any, list[tuple[str, str]]]:
    result = read_event(type_, json.dumps(document).encode())
    return result.event, [(each.field, each.value) for each in result.unknown]


def test_an_event_of_this_release_is_read_without_a_report() -> None:
    event, unknown = read(succeeded())
    assert event == JobSucceeded.model_validate(succeeded())
    assert unknown == []


def test_values_of_a_newer_release_are_read_as_unknown_and_reported_with_their_place() -> None:
    document = succeeded()
    document["job"]["kind"] = "hologram"
    document["job"]["output"]["kind"] = "subtitles"
    document["job"]["status"] = "archived"
    document["job"]["tasks"][0]["kind"] = "transcribe"
    document["job"]["tasks"][1]["kind"] = "transcribe"
    document["job"]["tasks"][2]["status"] = "paused"
    event, unknown = read(document)
    assert (event.job.kind, event.job.output.kind, event.job.status) == ("unknown",) * 3
    assert [task.kind for task in event.job.tasks] == ["unknown", "unknown", "video", "export"]
    assert sorted(unknown) == [
        ("job.kind", '"hologram"'),
        ("job.output.kind", '"subtitles"'),
        ("job.status", '"archived"'),
        ("job.tasks[].kind", '"transcribe"'),
        ("job.tasks[].status", '"paused"'),
    ]


def test_the_code_of_a_fault_may_be_unknown() -> None:
    job = queued().start(2_000).fail(Fault(kind="input_empty", message="The input has no bytes."), 3_000)
    document = json.loads(JobFailed(job=job).model_dump_json())
    document["job"]["error"]["kind"] = "input_encrypted"
    event, unknown = read(document, JobFailed.TYPE)
    assert event.job.error == Fault(kind="unknown", message="The input has no bytes.")
    assert event.job.finished
    assert unknown == [("job.error.kind", '"input_encrypted"')]


def test_a_media_item_of_an_unknown_kind_and_status_is_read() -> None:
    file = File(id="file_a", key="k", kind="video", format="pdf", content_type="application/pdf", filesize=3)
    id = typeid("med", uuid7(1_000, b"0123456789"))
    item = MediaItem(id=id, project=PROJECT, version=1, status="active", original=file, created_at=1, updated_at=1)
    document = json.loads(MediaUpdated(media=item).model_dump_json())
    document["media"]["original"]["kind"], document["media"]["status"] = "document", "archived"
    event, unknown = read(document, MediaUpdated.TYPE)
    assert (event.media.original.kind, event.media.status) == ("unknown", "unknown")
    assert len(unknown) == 2


def test_what_was_read_as_unknown_can_be_stored_and_read_again() -> None:
    document = succeeded()
    document["job"]["kind"] = "hologram"
    event, _ = read(document)
    again, unknown = read(json.loads(event.model_dump_json()))
    assert again == event
    assert unknown == []


def test_a_stored_document_of_a_newer_release_is_read_as_well() -> None:
    document = succeeded()["job"] | {"status": "archived"}
    assert Job.model_validate(document).status == "unknown"


def test_long_values_are_shortened_in_the_report() -> None:
    document = succeeded()
    document["job"]["kind"] = "x" * 10_000
    _, [(_, value)] = read(document)
    assert len(value) <= 120


@pytest.mark.parametrize("value", [b"", b"{", b"\xff", b"null", b"[]", b"{}", b'{"job": {"kind": 7}}'])
def test_what_is_not_the_event_is_refused(value: bytes) -> None:
    with pytest.raises(ValidationError):
        read_event(JobSucceeded.TYPE, value)


@pytest.mark.parametrize("value", [7, None, True, [], {}])
def test_an_enum_takes_strings_only(value: Any) -> None:
    document = succeeded()
    document["job"]["kind"] = value
    with pytest.raises(ValidationError) as refused:
        read_event(JobSucceeded.TYPE, json.dumps(document).encode())
    assert [error["loc"] for error in refused.value.errors()] == [("job", "kind")]


def test_a_number_that_json_does_not_have_is_refused() -> None:
    document = json.dumps(succeeded()).replace('"progress": 1.0', '"progress": NaN', 1)
    with pytest.raises(ValidationError):
        read_event(JobSucceeded.TYPE, document.encode())


def test_a_type_of_another_release_is_not_in_the_table() -> None:
    assert "bitmill.job.archived.v1" not in EVENTS
    with pytest.raises(KeyError):
        read_event("bitmill.job.archived.v1", b"{}")


def test_reports_can_be_told_apart_so_that_each_is_logged_once() -> None:
    assert len({UnknownValue("job.kind", '"hologram"'), UnknownValue("job.kind", '"hologram"')}) == 1


def in_status(status: str, at: int) -> Job:
    return Job.model_validate(queued().model_dump() | {"status": status, "updated_at": at})


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
def test_an_unknown_status_never_supersedes_an_end_and_gives_way_to_one(end: str) -> None:
    assert not in_status("archived", 9_000).finished
    assert not supersedes(in_status("archived", 9_000), in_status(end, 2_000))
    assert supersedes(in_status(end, 2_000), in_status("archived", 9_000))


def test_an_unknown_status_is_ordered_among_those_under_way_by_time() -> None:
    assert supersedes(in_status("archived", 2_000), in_status("queued", 1_000))
    assert not supersedes(in_status("queued", 9_000), in_status("archived", 2_000))
    assert supersedes(in_status("archived", 3_000), in_status("processing", 2_000))
    assert supersedes(in_status("processing", 4_000), in_status("archived", 3_000))

"""Which version of the API a request asks for, and what version 2025-08-20 makes of today's shapes."""

from typing import Any

import pytest

from schemas.delivery import DeliveryUrls
from schemas.faults import Fault, FieldFault
from schemas.job_resource import job_resource
from schemas.v2025_08_20.task_requests import TaskRequest20250820, todays_body
from schemas.v2025_08_20.tasks import Task20250820, task
from schemas.versions import ACCEPTED, DEFAULT, NEWEST, UnknownVersion, version_of
from tests.services.catalog import factories

OUTER = ("input", "kind", "metadata", "webhook_url", "media_id", "label")
URLS = DeliveryUrls("https://cdn.example.com")


@pytest.mark.parametrize(
    ("values", "version"),
    [([], DEFAULT), (["2024-08-21"], DEFAULT), (["2025-08-20"], NEWEST), ([" latest "], NEWEST)],
)
def test_a_request_has_the_version_that_it_names(values: list[str], version: str) -> None:
    assert version_of(values) == version


@pytest.mark.parametrize("values", [["2023-01-01"], [""], ["LATEST"], ["2025-08-20", "2025-08-20"]])
def test_a_version_that_is_not_served_is_refused_with_those_that_are(values: list[str]) -> None:
    with pytest.raises(UnknownVersion) as refused:
        version_of(values)
    assert refused.value.fault.field == "Accept-Version"
    assert all(name in refused.value.fault.rule for name in ACCEPTED) or "once" in refused.value.fault.rule


def _shown(job: Any) -> Task20250820:
    return task(job_resource(job, URLS))


def test_a_job_that_succeeded_is_a_completed_task_with_all_its_fields() -> None:
    done = factories.snapshots(factories.queued("prj_01kg75gs80ebfsgf8txjabsyef"))[-1]
    shown = _shown(done)
    assert set(shown) == Task20250820.__required_keys__
    assert (shown["status"], shown["progress"], shown["error"]) == ("completed", 100, None)
    assert shown["input"] == {"url": done.input}
    assert shown["output"] is not None and shown["output"]["width"] == 320
    assert [step["kind"] for step in shown["results"]["passed"]][:2] == ["ingest", "probe"]
    assert (shown["results"]["failed"], shown["results"]["continue"]) == ([], True)
    assert shown["created"].endswith("Z") and shown["created"] <= shown["updated"]


def test_states_and_progress_are_in_the_words_of_the_version() -> None:
    queued = factories.queued("prj_01kg75gs80ebfsgf8txjabsyef")
    half = factories.snapshots(queued)[-2]
    assert (_shown(queued)["status"], _shown(queued)["progress"]) == ("pending", 0)
    assert (_shown(half)["status"], _shown(half)["progress"]) == ("processing", 50)
    failed = _shown(factories.failed(queued))
    assert (failed["status"], failed["error"]) == ("failed", "no bytes")
    assert ([step["kind"] for step in failed["results"]["failed"]], failed["results"]["continue"]) == (
        ["ingest"],
        False,
    )
    assert _shown(queued.cancel(queued.created_at + 1))["status"] == "cancelled"


def test_a_passing_cause_is_the_error_of_the_step_and_not_of_the_task() -> None:
    job = factories.queued("prj_01kg75gs80ebfsgf8txjabsyef")
    away = job.start(1).retry(Fault(kind="input_unreachable", message="503"), 2, 3)
    shown = _shown(away)
    assert (shown["error"], shown["workflow"][0]["error"]) == (None, "503")


@pytest.mark.parametrize(
    ("sent", "todays"),
    [
        (
            {"url": "https://a/b", "kind": "image", "width": 320, "format": "png", "metadata": {"a": "b"}},
            {
                "input": "https://a/b",
                "kind": "image",
                "options": {"width": 320, "format": "png"},
                "metadata": {"a": "b"},
            },
        ),
        (
            {"file_id": "file_1", "kind": "image", "width": 320, "ref": "thumbnail"},
            {"input": "file_1", "kind": "image", "options": {"width": 320}},
        ),
        (
            {"file_id": "file_1", "media_id": "med_1", "kind": "image", "ref": "thumbnail"},
            {"input": "file_1", "media_id": "med_1", "kind": "image", "label": "thumbnail"},
        ),
        (
            {"input": "https://a/b", "kind": "video", "options": {"width": 2}, "height": 4},
            {"input": "https://a/b", "kind": "video", "options": {"width": 2, "height": 4}},
        ),
        ({"url": "https://a/b", "kind": "ingest"}, {"input": {"url": "https://a/b"}, "kind": "import"}),
        (
            {"url": "https://a/b", "kind": "video", "options": 7},
            {"input": "https://a/b", "kind": "video", "options": 7},
        ),
    ],
    ids=["url", "file", "label", "both ways of options", "ingest", "options that are none"],
)
def test_a_flat_body_is_todays_body(sent: dict[str, Any], todays: dict[str, Any]) -> None:
    body = todays_body(sent, OUTER)
    assert (body.data, [*body.faults]) == (todays, [])


@pytest.mark.parametrize(
    ("number", "word"), [(0, "very_low"), (19, "very_low"), (50, "medium"), (80, "very_high"), (100, "very_high")]
)
def test_a_quality_of_a_hundred_is_a_word(number: int, word: str) -> None:
    assert todays_body({"url": "u", "quality": number}, OUTER).data["options"]["quality"] == word


@pytest.mark.parametrize("value", [-1, 101, "high", True, 3.5])
def test_what_is_no_quality_of_a_hundred_is_judged_by_todays_rules(value: Any) -> None:
    assert todays_body({"url": "u", "quality": value}, OUTER).data["options"]["quality"] == value


@pytest.mark.parametrize(
    ("sent", "fields"),
    [
        ({"kind": "video"}, ["url"]),
        ({"url": "u", "file_id": "f"}, ["file_id"]),
        ({"url": "u", "filename": "a.mp4", "folder": "b"}, ["filename", "folder"]),
    ],
)
def test_what_only_this_version_can_get_wrong_is_named(sent: dict[str, Any], fields: list[str]) -> None:
    assert [fault.field for fault in todays_body(sent, OUTER).faults] == fields


def test_errors_name_the_fields_that_were_sent() -> None:
    body = todays_body({"url": "u", "ref": "x", "widht": 1}, OUTER)
    faults = [FieldFault(field=name, rule="r", value="v") for name in ("input", "label", "options.widht", "kind")]
    assert [fault.field for fault in body.as_sent(faults)] == ["url", "ref", "widht", "kind"]


@pytest.mark.parametrize("data", [None, [], "text", 7])
def test_a_body_that_is_no_object_is_left_to_todays_rules(data: Any) -> None:
    assert todays_body(data, OUTER).data is data


def test_the_published_example_is_accepted() -> None:
    config: Any = TaskRequest20250820.__pydantic_config__  # type: ignore[attr-defined]
    (example,) = config["json_schema_extra"]["examples"]
    assert not todays_body(example, OUTER).faults

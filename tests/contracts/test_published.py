"""The published contracts fit the code, and what was once published can still be read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate as validate_openapi

from chassis.adapters.http.health import State
from chassis.adapters.http.server import make_web_app
from cli.service_commands import build
from devtools.contracts import asyncapi, events, files
from devtools.contracts.__main__ import main
from schemas.events import EVENTS, SUBMISSIONS
from schemas.topics import SERVICES, TOPIC_OF, TOPICS, group_id

EXAMPLES = sorted(events.EXAMPLES.glob("*.json"))
NAMES = [path.stem for path in EXAMPLES]


def load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


def published(type_: str) -> dict[str, Any]:
    return load(events.PUBLISHED / "events" / f"{type_}.schema.json")


def refs(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "$ref":
                yield value
            yield from refs(value)
    elif isinstance(document, list):
        for value in document:
            yield from refs(value)


def follow(document: Any, ref: str) -> Any:
    for part in ref.removeprefix("#/").split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


def test_the_published_files_are_what_the_code_says(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--check"])
    assert status == 0, capsys.readouterr().err


def test_making_them_twice_gives_the_same_bytes() -> None:
    assert files.generated() == files.generated()


def test_a_file_that_differs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], folder=tmp_path, docs=tmp_path) == 1
    missing = capsys.readouterr().err
    assert "openapi.json differs" in missing and "api.md differs" in missing
    assert main([], folder=tmp_path, docs=tmp_path) == 0
    assert main(["--check"], folder=tmp_path, docs=tmp_path) == 0
    (tmp_path / "openapi.json").write_text("{}")
    (tmp_path / "events" / "stale.schema.json").write_text("{}")
    capsys.readouterr()
    assert main(["--check"], folder=tmp_path, docs=tmp_path) == 1
    errors = capsys.readouterr().err
    assert "openapi.json differs" in errors
    assert "stale.schema.json differs" in errors
    assert "asyncapi" not in errors


def test_an_event_that_old_readers_could_not_read_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], folder=tmp_path, docs=tmp_path) == 0
    path = tmp_path / "events" / "bitmill.key.changed.v1.schema.json"
    schema = load(path)
    schema["properties"]["colour"] = {"type": "string"}
    path.write_text(json.dumps(schema))
    assert main([], folder=tmp_path, docs=tmp_path) == 1
    assert "data.colour is gone" in capsys.readouterr().err
    assert load(path) == schema
    assert main(["--break-readers"], folder=tmp_path, docs=tmp_path) == 0
    assert load(path) != schema


def test_every_event_type_has_an_example() -> None:
    assert set(events.TYPES) <= set(NAMES)


def test_every_type_of_every_topic_has_a_schema() -> None:
    for topic in TOPICS:
        for type_ in topic.types:
            schema = published(type_)
            assert (schema["x-ce-type"], schema["x-topic"], schema["$id"]) == (
                type_,
                topic.name,
                events.identifier(type_),
            )
            Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_todays_models_read_every_stored_example(path: Path) -> None:
    example = load(path)
    type_ = path.stem
    if type_ in SUBMISSIONS:
        SUBMISSIONS[type_].validate_python(example["data"])
        return
    event = EVENTS[type_].model_validate(example["data"])
    assert event.subject() == example["key"] == example["headers"]["ce_subject"]
    assert event.project_id() == example["headers"].get("ce_project", "")
    kept = event.model_dump(mode="json")
    assert all(kept[name] == value for name, value in example["data"].items() if not isinstance(value, dict | list))


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_every_stored_example_fits_its_published_schema(path: Path) -> None:
    example = load(path)
    assert example["topic"] == TOPIC_OF[path.stem].name
    validator = Draft202012Validator
    validator(published(path.stem), format_checker=validator.FORMAT_CHECKER).validate(example["data"])
    validator(events.headers_schema(path.stem), format_checker=validator.FORMAT_CHECKER).validate(example["headers"])


def test_a_schema_refuses_what_is_not_its_event() -> None:
    started = load(events.EXAMPLES / "bitmill.job.started.v1.json")
    assert not Draft202012Validator(published("bitmill.media.created.v1")).is_valid(started["data"])


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_subscribes_to_what_the_topics_say_it_reads(service: Any) -> None:
    reads = [topic for topic in TOPICS if service in topic.readers and not topic.broadcast]
    groups = asyncapi.consumer_groups(asyncapi.service_broker(service))
    assert groups == {topic.name: group_id(service, topic) for topic in reads}
    assert [*groups] == [topic.name for topic in reads]


@pytest.mark.parametrize("service", SERVICES)
def test_an_asyncapi_document_holds_together(service: Any) -> None:
    document = load(events.PUBLISHED / "asyncapi" / f"{service}.json")
    assert document["asyncapi"] == "3.0.0"
    for ref in refs(document):
        assert follow(document, ref) is not None
    for name, operation in document["operations"].items():
        assert operation["action"] == name.split(".")[0]
        messages = [follow(document, follow(document, each["$ref"])["$ref"]) for each in operation["messages"]]
        assert messages
        assert all("headers" in message and "payload" in message for message in messages)
    sends = {each["channel"]["$ref"] for each in document["operations"].values() if each["action"] == "send"}
    for topic in TOPICS:
        assert (f"#/channels/{topic.name}" in sends) == (service in topic.writers)


def test_every_topic_is_written_and_read_by_someone() -> None:
    for topic in TOPICS:
        assert topic.readers
        assert topic.writers or topic.name.endswith(".submitted")


def test_the_openapi_document_is_valid_openapi() -> None:
    document = load(events.PUBLISHED / "openapi.json")
    validate_openapi(document)
    for ref in refs(document):
        assert follow(document, ref) is not None


def test_the_openapi_document_has_every_route_of_the_services_and_no_other() -> None:
    given = {"database_url": "postgresql://h/d", "storage_url": "file:///tmp", "webhook_secret": "s"}
    apps = [build(service, given)[0] for service in SERVICES]
    served = make_web_app(apps, State()).router.routes()
    routes = {(route.method.lower(), route.resource.canonical) for route in served if route.resource}
    document = load(events.PUBLISHED / "openapi.json")
    methods = {"get", "post", "put", "patch", "delete", "options"}
    described = {(method, path) for path, item in document["paths"].items() for method in methods & {*item}}
    # aiohttp answers HEAD wherever it answers GET.
    assert described == {route for route in routes if route[0] != "head"}

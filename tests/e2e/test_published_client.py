"""The published Python client `ittybit` 1.0.0, unchanged but for its base address: it asks for version 2025-08-20."""

import asyncio
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
import pytest
from ittybit import AsyncIttybit, Ittybit
from ittybit.core.api_error import ApiError

from tests.support.file_server import FileServer
from tests.support.processes import clean_environment, shell
from tests.support.system import BitmillUp
from tests.support.waiting import until

DECLARED = ("id", "object", "kind", "input", "options", "output", "status", "progress", "error", "created", "updated")
WORDS = {"pending", "waiting", "processing", "completed", "failed", "cancelled"}


@pytest.fixture
def client(up: BitmillUp) -> Iterator[Ittybit]:
    with httpx.Client(timeout=60) as http:
        yield Ittybit(base_url=up.api.address, api_key=up.env["ITTYBIT_API_KEY"], httpx_client=http)


async def _called(method: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """The client blocks, and its inputs are served by this event loop."""
    return await asyncio.to_thread(method, *given, **named)


async def _ended(client: Ittybit, id: str) -> Any:
    async def ended() -> Any:
        task = await _called(client.tasks.get, id)
        return task if task.status in ("completed", "failed", "cancelled") else None

    return await until(ended, within=120)


async def test_a_task_is_created_read_and_listed_with_filled_models(client: Ittybit, uploads: FileServer) -> None:
    request = {
        "url": uploads.url("photo.png"),
        "kind": "image",
        "width": 64,
        "format": "webp",
        "quality": 80,
        "metadata": {"client": "published"},
    }
    before = datetime.now(UTC) - timedelta(minutes=10)
    created = await _called(client.tasks.create, request=request)
    assert created.id.startswith("task_")
    assert (created.object, created.kind, created.status, created.progress) == ("task", "image", "pending", 0)
    assert created.input == {"url": request["url"]}
    assert created.options == {"width": 64, "format": "webp", "quality": "very_high"}
    assert (created.output, created.error) == (None, None)

    done = await _ended(client, created.id)
    assert (done.id, done.status, done.progress, done.error) == (created.id, "completed", 100, None)
    assert (done.output["format"], done.output["width"]) == ("webp", 64)
    assert done.output["url"].startswith("http")
    assert before < done.created <= done.updated  # parsed, with their time zone
    assert {step["kind"] for step in done.results.passed} >= {"ingest", "probe", "image"}
    assert (done.results.failed, done.results.continue_) == ([], True)
    assert [step["id"] for step in done.workflow] == [step["id"] for step in done.results.passed]

    async def listed() -> Any:
        return next((task for task in await _called(client.tasks.list, limit=100) if task.id == done.id), None)

    shown = await until(listed, within=60)
    assert {name: getattr(shown, name) for name in DECLARED} == {name: getattr(done, name) for name in DECLARED}


async def test_a_failed_task_says_why_in_a_sentence(client: Ittybit, uploads: FileServer) -> None:
    created = await _called(client.tasks.create, request={"url": uploads.url("missing.mp4"), "kind": "video"})
    failed = await _ended(client, created.id)
    assert failed.status == "failed"
    assert isinstance(failed.error, str) and failed.error.endswith(".")
    assert [step["kind"] for step in failed.results.failed] == ["ingest"]
    assert failed.results.continue_ is False


async def test_pages_follow_one_another_without_a_gap(client: Ittybit, uploads: FileServer) -> None:
    request = {"url": uploads.url("photo.png"), "kind": "image", "width": 32}
    made = [(await _called(client.tasks.create, request=request)).id for _ in range(5)]

    async def visible() -> bool:
        return {*made} <= {task.id for task in await _called(client.tasks.list, limit=100)}

    await until(visible, within=60)
    pages = [await _called(client.tasks.with_raw_response.list, page=page, limit=2) for page in (1, 2, 3)]
    listed = [task.id for page in pages for task in page.data]
    assert len(listed) == len(set(listed)) == 6
    assert {*made} <= {*listed}
    assert 'rel="next"' in pages[0].headers["links"] and "page=2" in pages[0].headers["links"]
    assert await _called(client.tasks.list, page=10_000) == []
    assert all(task.status in WORDS for page in pages for task in page.data)


async def test_the_async_client_works_as_well(up: BitmillUp, uploads: FileServer) -> None:
    request = {"url": uploads.url("photo.png"), "kind": "image", "width": 32}
    async with httpx.AsyncClient(timeout=60) as http:
        client = AsyncIttybit(base_url=up.api.address, api_key=up.env["ITTYBIT_API_KEY"], httpx_client=http)
        created = await client.tasks.create(request=request)
        assert (await client.tasks.get(created.id)).id == created.id
        assert isinstance(await client.tasks.list(page=1, limit=3), list)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (
            {"url": "https://example.com/a", "kind": "video", "widht": 1},
            400,
            "widht is not a known field; did you mean",
        ),
        ({"kind": "video"}, 400, "url is required"),
        ({"url": "ftp://example.com/a", "kind": "video"}, 400, "url must start with"),
        ({"url": "https://example.com/a", "kind": "hologram"}, 400, "kind must be one of"),
    ],
)
async def test_a_refusal_has_a_message_in_the_clients_own_names(
    client: Ittybit, body: dict[str, Any], status: int, said: str
) -> None:
    with pytest.raises(ApiError) as refused:
        await _called(client.tasks.create, request=body)
    assert refused.value.status_code == status
    assert said in refused.value.body["message"]
    assert refused.value.body["request_id"].startswith("req_")


async def test_an_unknown_task_is_404(client: Ittybit) -> None:
    with pytest.raises(ApiError) as refused:
        await _called(client.tasks.get, "task_abcdefgh1234")
    assert (refused.value.status_code, refused.value.body["kind"]) == (404, "task_not_found")


async def test_a_version_that_is_not_served_is_refused(up: BitmillUp) -> None:
    async with up.api.session.get(f"{up.api.address}/tasks", headers={"Accept-Version": "2019-01-01"}) as response:
        body = await response.json()
    assert (response.status, body["errors"][0]["field"]) == (400, "Accept-Version")


async def test_without_the_header_a_task_has_todays_shape(up: BitmillUp, uploads: FileServer) -> None:
    body = {"input": uploads.url("photo.png"), "kind": "image", "options": {"width": 32}}
    made = await up.api.post("/tasks", body)
    assert (made["status"], made["input"]) == ("queued", body["input"])
    assert isinstance(made["created_at"], int) and "created" not in made
    async with up.api.session.get(f"{up.api.address}/tasks/{made['id']}") as response:
        assert response.headers["Vary"] == "Accept-Version"
        assert isinstance((await response.json())["created_at"], int)


async def test_a_media_item_without_a_file_is_created_changed_and_deleted(client: Ittybit) -> None:
    created = await _called(client.media.create, title="A deer", alt="A tapestry", metadata={"wall": "north"})
    assert created.id.startswith("med_")
    assert (created.object, created.kind, created.title, created.alt) == ("media", None, "A deer", "A tapestry")
    assert (created.files, created.urls, created.metadata) == ([], {}, {"wall": "north"})
    assert (await _called(client.media.get, created.id)).dict() == created.dict()
    changed = await _called(client.media.update, created.id, title="A stag", alt="Woven", metadata={"room": "2"})
    assert (changed.title, changed.alt, changed.metadata) == ("A stag", "Woven", {"wall": "north", "room": "2"})
    assert changed.updated >= changed.created
    assert created.id in {item.id for item in await _called(client.media.list, limit=100)}
    assert (await _called(client.media.delete, created.id)).message == f"{created.id} deleted"
    with pytest.raises(ApiError) as refused:
        await _called(client.media.get, created.id)
    assert (refused.value.status_code, refused.value.body["kind"]) == (404, "media_not_found")
    assert refused.value.body["request_id"].startswith("req_")


async def test_a_media_item_with_files_has_them_and_their_addresses(
    client: Ittybit, up: BitmillUp, uploads: FileServer
) -> None:
    made = (await up.api.post("/media", {"url": uploads.url("your-file.mp4"), "metadata": {"a": "b"}}))["data"]

    async def with_poster() -> Any:
        item = await _called(client.media.get, made["id"])
        return item if "poster" in item.urls else None

    item = await until(with_poster, within=120)
    assert (item.kind, item.width, item.metadata) == ("video", made["width"], {"a": "b"})
    assert item.urls["original"] == made["original"]
    original, poster = item.files
    assert (original.original, original.ref, original.status, original.container) == (True, None, "ready", "mp4")
    assert original.bitrate == round(original.filesize * 8 / original.duration)
    assert (poster.original, poster.ref, poster.url) == (False, "poster", item.urls["poster"])
    assert original.created <= original.updated


async def test_pages_of_media_follow_one_another(client: Ittybit) -> None:
    made = [(await _called(client.media.create, title=f"Page {number}")).id for number in range(3)]
    pages = [await _called(client.media.with_raw_response.list, page=page, limit=2) for page in (1, 2)]
    listed = [item.id for page in pages for item in page.data]
    assert len({*listed}) == 4 and {*made} <= {*listed}
    assert 'rel="next"' in pages[0].headers["links"] and "page=2&limit=2" in pages[0].headers["links"]
    for id in made:
        await _called(client.media.delete, id)


async def test_the_package_and_the_command_of_the_same_name_do_not_meet(tmp_path: Path) -> None:
    """The package is a module without a command, the command an entry point of ours without a module."""
    installed = metadata.distribution("ittybit")
    assert not installed.entry_points
    assert not (Path(__file__).parents[2] / "ittybit").exists()
    command = shutil.which("ittybit", path=str(Path(sys.executable).parent))
    assert command
    done = await shell([command, "--help"], cwd=tmp_path, env=clean_environment())
    assert done.returncode == 0 and "Web-ready outputs" in done.stdout

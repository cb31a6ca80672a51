"""The examples of docs/api.md, executed: the command of every operation, then each parameter and each option alone."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from devtools.api_reference.operations import Body, Field, Operation, operations
from devtools.contracts import documents, openapi
from tests.support.file_server import FileServer, file
from tests.support.processes import shell
from tests.support.system import BitmillUp
from tests.support.webhook_receiver import WebhookReceiver

OPERATIONS = operations(openapi.document())
TEXT = (documents.DOCS / "api.md").read_text()
PLACEHOLDER = re.compile(
    r"(job|med|prj|upl|conn)_01h455vb4pex5vsknk084sn02q(/our/folder/our-filename\.mp4|\?token=TOKEN)?"
)
STATUS = "bitmill-status:"
_number = count()
ALONE_REFUSED: Mapping[tuple[str, str], int] = {
    ("edit_media", "If-Match"): 412,  # the item has another version
    ("delete_media", "If-Match"): 412,
    ("delete_job", "purge"): 409,  # the job has not ended
    ("delete_task", "purge"): 409,
    ("list_tasks", "page"): 400,  # a parameter of version 2025-08-20 only
}
"""Parameters whose example, sent alone, is refused as the document says."""


class Examples:
    """Makes what the examples name: files, jobs and media items."""

    def __init__(self, up: BitmillUp, uploads: FileServer, hooks: WebhookReceiver, item: str, connection: str) -> None:
        self._up = up
        self._uploads = uploads
        self._hosts = {
            "med_01h455vb4pex5vsknk084sn02q": item,
            "conn_01h455vb4pex5vsknk084sn02q": connection,
            # Nobody is asked whether the credentials of the examples are right.
            '"kind": "s3"': '"kind": "s3", "check": false',
            '"name": "uploads"': '"name": "uploads-NUMBER"',
            "https://example.com/clip.mov": uploads.url("your-file.mp4"),
            "https://example.com/webhooks": hooks.url(),
        }

    def hosted(self, text: str) -> str:
        """The text with our hosts and item, and a name of its own for each stored file."""
        for old, new in self._hosts.items():
            text = text.replace(old, new)
        number = next(_number)
        return text.replace("our-filename.mp4", f"our-filename{number}.mp4").replace("-NUMBER", f"-{number}")

    async def address(self, operation: Operation) -> str:
        """What stands for the placeholder in the operation's path."""
        if "{id}" not in operation.path and "{path}" not in operation.path:
            return ""
        if operation.tag == "files":
            job = await self._up.api.post("/jobs", self._image())
            url: str = (await self._up.api.finished(job["id"]))["output"]["url"]
            return urlsplit(url).path.removeprefix("/")
        collection = "/" + operation.path.split("/")[1]
        if collection == "/uploads":
            made = await self._up.api.post("/uploads", {})
            place: str = made["url"]
            return place.rpartition("/uploads/")[2]
        if collection == "/connections":
            return await connected(self._up)
        if collection == "/media":
            made = await self._up.api.post("/media", {"url": self._uploads.url("photo.png")})
            id = made["data"]["id"]
            if operation.path.endswith("/restore"):
                await self._up.api.session.delete(f"{self._up.api.address}/media/{id}")
            return str(id)
        return await self._job(collection, operation)

    async def _job(self, collection: str, operation: Operation) -> str:
        # A file that is not given out: the job is neither done nor failed when it is cancelled.
        name = f"held{next(_number)}.mp4"
        held = self._uploads.hold(name, file(self._uploads.path("your-file.mp4")))
        job: dict[str, str] = await self._up.api.post(collection, {"input": held.url, "kind": "video"})
        if operation.id.startswith("retry"):
            await self._up.api.post(f"{collection}/{job['id']}/cancel", {})
            held.release.set()
            await self._up.api.finished(job["id"])
        elif operation.method == "GET":
            held.release.set()
        return job["id"]

    def _image(self) -> dict[str, Any]:
        return {"input": self._uploads.url("photo.png"), "kind": "image", "options": {"width": 32}}


@pytest.fixture(scope="module")
async def item(up: BitmillUp, uploads: FileServer) -> str:
    """The id of a media item."""
    made = await up.api.post("/media", {"url": uploads.url("photo.png")})
    return str(made["data"]["id"])


async def connected(up: BitmillUp) -> str:
    """The id of a new connection, to a store that nobody asks."""
    body = {"name": f"examples-{next(_number)}", "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "s"}
    made = await up.api.post("/connections", {**body, "check": False})
    return str(made["id"])


@pytest.fixture(scope="module")
async def connection(up: BitmillUp) -> AsyncIterator[str]:
    """The project has connections during these tests only."""
    yield await connected(up)
    for each in await up.api.get("/connections"):
        await up.api.session.delete(f"{up.api.address}/connections/{each['id']}")


@pytest.fixture
def examples(up: BitmillUp, uploads: FileServer, hooks: WebhookReceiver, item: str, connection: str) -> Examples:
    return Examples(up, uploads, hooks, item, connection)


def placed(text: str, address: str) -> str:
    """The text with what exists in the place of the path's example."""
    return PLACEHOLDER.sub(address, text, count=1) if address else text


def _command(operation: Operation) -> str:
    section = TEXT.split(f"\n## {operation.method} {operation.path}\n")[1].split("\n## ")[0]
    found = re.search(r"```bash\n(.*?)\n```", section, re.DOTALL)
    assert found, f"{operation.method} {operation.path} has no command in docs/api.md"
    return found[1]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
async def test_the_command_of_an_operation_works(
    operation: Operation, up: BitmillUp, uploads: FileServer, examples: Examples, tmp_path: Path
) -> None:
    shutil.copy(uploads.path("your-file.mp4"), tmp_path / "clip.mov")
    command = placed(_command(operation), await examples.address(operation))
    text = examples.hosted(command) + f" -o answer -w '{STATUS}%{{http_code}}'"
    done = await shell(["bash", "-uc", text], cwd=tmp_path, env=up.env)
    status = done.stdout.rpartition(STATUS)[2]
    answer = (tmp_path / "answer").read_bytes()[:2000] if (tmp_path / "answer").exists() else b""
    assert status.startswith("2"), f"{text}\n{done.stderr}\n{status} {answer!r}"
    assert status in operation.responses
    assert done.returncode == 0 or operation.streams


def _sent(field: Field) -> tuple[str, str]:
    example = field.example
    return field.name.replace("{key}", "user_id"), example if isinstance(example, str) else json.dumps(example)


PARAMETERS = [(each, field) for each in OPERATIONS for field in each.parameters if field.where != "path"]


@pytest.mark.parametrize(
    ("operation", "field"), PARAMETERS, ids=[f"{each.id}-{field.name}" for each, field in PARAMETERS]
)
async def test_a_parameter_works_with_its_example(
    operation: Operation, field: Field, up: BitmillUp, examples: Examples
) -> None:
    path = placed(operation.address, await examples.address(operation))
    query = dict([_sent(field)]) if field.where == "query" else {}
    headers = dict([_sent(field)]) if field.where == "header" else {}
    body = json.loads(examples.hosted(json.dumps(operation.bodies[0].example))) if operation.bodies else None
    if operation.streams or operation.binary_body:
        pytest.skip("its own tests read and send streams")
    async with up.api.session.request(
        operation.method, up.api.address + path, params=query, headers=headers, json=body
    ) as response:
        expected = ALONE_REFUSED.get((operation.id, field.name))
        assert (response.status == expected) if expected else response.status < 400, await response.text()
        assert str(response.status) in operation.responses


async def test_numbered_pages_of_tasks_work_with_their_version(up: BitmillUp) -> None:
    query, headers = {"page": "1", "limit": "20"}, {"Accept-Version": "2025-08-20"}
    async with up.api.session.get(f"{up.api.address}/tasks", params=query, headers=headers) as response:
        assert response.status == 200


NEEDS_MORE: Mapping[str, tuple[str, ...]] = {
    "TaskRequest20250820": ("file_id", "ref"),
    "ProbeTaskRequest": ("media_id", "label", "output"),
}
"""Bodies that need more than their schema can say, and fields that do not go with them."""
NEEDS_BESIDE: Mapping[str, str] = {"label": "media_id"}
"""Fields that are nothing without another one."""
NEEDS_A_STORE = ("output", "connection_id")
"""Of a job: accepted here, done in the tests of stores."""
OF_VERSION_20250820 = ("TaskRequest20250820", "EmptyMediaRequest")
BODIES = [(each, body) for each in OPERATIONS for body in each.bodies if body.fields]


def _requests(body: Body) -> list[tuple[str, dict[str, Any]]]:
    """The body with what it needs only, then with each field and each option alone beside that; names for all."""
    least = dict(body.example if body.title in NEEDS_MORE else body.minimal)
    made = [("least", least), ("example", dict(body.example))]
    for field in body.fields:
        if field.name not in (*body.options, *NEEDS_MORE.get(body.title, ())):
            beside = {each.name: each.example for each in body.fields if each.name == NEEDS_BESIDE.get(field.name)}
            made.append((field.name, {**least, **beside, field.name: field.example}))
        for option in body.options.get(field.name, ()):
            made.append((f"{field.name}.{option.name}", {**least, field.name: {option.name: option.example}}))
    return made


async def _accepted(operation: Operation, body: Body, up: BitmillUp, examples: Examples) -> dict[str, str]:
    """Sends each request of the body; the ids of the jobs that this made, by the names of the requests."""
    path = placed(operation.address, await examples.address(operation))
    versioned = {"Accept-Version": "2025-08-20"} if body.title in OF_VERSION_20250820 else {}
    refused: dict[str, str] = {}
    jobs: dict[str, str] = {}
    for name, each in _requests(body):
        sent = json.loads(examples.hosted(json.dumps(each)))
        if operation.tag == "connections":
            sent["check"] = False
        async with up.api.session.request(
            operation.method, up.api.address + path, json=sent, headers=versioned
        ) as response:
            if response.status >= 400:
                refused[name] = f"{each}: {response.status} {await response.text()}"
            elif path in ("/jobs", "/tasks"):
                jobs[name] = (await response.json())["id"]
    assert not refused, refused
    return jobs


async def _cancel(up: BitmillUp, ids: Iterable[str]) -> None:
    """Those that have ended by now stay as they are."""
    for id in ids:
        async with up.api.session.delete(f"{up.api.address}/{id.partition('_')[0]}s/{id}"):
            pass


BODY_IDS = [f"{each.id}-{body.title}" for each, body in BODIES]


@pytest.mark.parametrize(("operation", "body"), BODIES, ids=BODY_IDS)
async def test_each_field_and_option_is_accepted_with_its_example(
    operation: Operation, body: Body, up: BitmillUp, examples: Examples
) -> None:
    await _cancel(up, (await _accepted(operation, body, up, examples)).values())


@pytest.mark.slow
@pytest.mark.parametrize(("operation", "body"), BODIES, ids=BODY_IDS)
async def test_each_field_and_option_makes_an_output_with_its_example(
    operation: Operation, body: Body, up: BitmillUp, examples: Examples
) -> None:
    jobs = await _accepted(operation, body, up, examples)
    await _cancel(up, [jobs.pop(name) for name in NEEDS_A_STORE if name in jobs])

    async def ended(name: str, id: str) -> tuple[str, Any]:
        return name, await up.api.finished(id, within=600)

    done = dict(await asyncio.gather(*(ended(name, id) for name, id in jobs.items())))
    failed = {name: job["error"] for name, job in done.items() if job["status"] != "succeeded"}
    assert not failed, failed

"""A project, or a request, has tags of place and device removed before the original is stored."""

from pathlib import Path

import pytest

from schemas.events import MediaCreated, MediaFailed, ProjectChanged
from services.ingest import keys, projects
from tests.corpus.workshop import silent
from tests.media import tagged_files as tagged
from tests.services.ingest.support import EventLog, RunningIngest
from tests.support.file_server import FileServer


@pytest.fixture(scope="module")
def uploads(files: FileServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The addresses of tagged files."""
    recipes = {
        "tagged.jpg": tagged.jpeg(),
        "tagged.mov": tagged.movie("-movflags use_metadata_tags"),
        "tagged.ts": silent("-c:v libx264 -preset ultrafast"),
    }
    for name, recipe in recipes.items():
        files.add(tagged.made(recipe, name, tmp_path_factory.mktemp("tagged")))
    return {name: files.url(name) for name in recipes}


@pytest.fixture(scope="module")
async def private(ingest: RunningIngest) -> str:
    """The header `Authorization` of a project that has tags removed."""
    new = await keys.create_key(ingest.pool, "private", name="strip")
    project = await projects.set_project(ingest.pool, new.key.project, strip=True)
    assert project is not None
    assert (project.strip, project.delivery) == (True, "public")
    return f"Bearer {new.text}"


def tags_in(path: Path) -> list[bytes]:
    return [secret for secret in tagged.SECRETS if secret in path.read_bytes()]


@pytest.mark.parametrize(("name", "size"), [("tagged.jpg", (200, 320)), ("tagged.mov", (320, 240))])
async def test_the_original_of_a_project_with_strip_is_stored_without_tags(
    ingest: RunningIngest,
    private: str,
    uploads: dict[str, str],
    events: EventLog,
    ingest_storage: Path,
    name: str,
    size: tuple[int, int],
) -> None:
    data = (await ingest.post("/media", {"url": uploads[name]}, Authorization=private)).body["data"]
    assert (data["status"], data["width"], data["height"]) == ("active", *size)
    created = await events.first(MediaCreated, data["id"])
    original = ingest_storage / created.media.original.key
    assert tags_in(original) == []
    assert original.stat().st_size == data["filesize"]
    assert [job.source for job in created.jobs] == [created.media.original]


async def test_what_the_request_says_counts_more_than_the_project(
    ingest: RunningIngest, private: str, uploads: dict[str, str], events: EventLog, ingest_storage: Path
) -> None:
    answers = {
        "as it is": await ingest.post("/media", {"url": uploads["tagged.jpg"]}),
        "asked": await ingest.post("/media", {"url": uploads["tagged.jpg"], "strip": True}),
        "refused": await ingest.post("/media", {"url": uploads["tagged.jpg"], "strip": False}, Authorization=private),
    }
    has_tags = {}
    for name, answer in answers.items():
        created = await events.first(MediaCreated, answer.body["data"]["id"])
        has_tags[name] = bool(tags_in(ingest_storage / created.media.original.key))
    assert has_tags == {"as it is": True, "asked": False, "refused": True}


async def test_a_file_whose_tags_cannot_be_removed_is_not_stored(
    ingest: RunningIngest, private: str, uploads: dict[str, str], events: EventLog, ingest_storage: Path
) -> None:
    before = set(ingest_storage.rglob("*"))
    data = (await ingest.post("/media", {"url": uploads["tagged.ts"]}, Authorization=private)).body["data"]
    assert (data["status"], data["error"]["kind"]) == ("failed", "input_strip_unsupported")
    assert data["error"]["message"] == (
        "The file is of the type video/mp2t. Its tags of place and device, which are to be removed, cannot be removed."
    )
    await events.first(MediaFailed, data["id"])
    assert [path for path in set(ingest_storage.rglob("*")) - before if path.is_file()] == []
    assert (await ingest.post("/media", {"url": uploads["tagged.ts"]})).body["data"]["status"] == "active"


async def test_strip_is_true_or_false(ingest: RunningIngest, uploads: dict[str, str]) -> None:
    answer = await ingest.post("/media", {"url": uploads["tagged.jpg"], "strip": "gps"})
    assert (answer.status, answer.fields) == (400, {"strip"})


async def test_settings_that_are_not_named_stay(ingest: RunningIngest, events: EventLog) -> None:
    id = (await keys.create_key(ingest.pool, "settings", name="strip")).key.project
    await projects.set_project(ingest.pool, id, strip=True)
    await projects.set_project(ingest.pool, id, delivery="signed")
    changed = await projects.set_project(ingest.pool, id, strip=False)
    assert changed is not None
    assert (changed.delivery, changed.strip, changed.version) == ("signed", False, 4)
    assert await events.first(ProjectChanged, id)

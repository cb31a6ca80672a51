"""The code blocks of the documents, unchanged but for hosts and the key. They run if SEEDS_DIR is set."""

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.seeds.blocks import Block, curls, fenced, fetches, run_together, webhook_of
from tests.seeds.test_requests import without_any_service
from tests.support.file_server import FileServer
from tests.support.processes import shell
from tests.support.system import BitmillUp
from tests.support.webhook_receiver import WebhookReceiver

SEEDS = os.environ.get("SEEDS_DIR")


def _document(prefix: str) -> Path:
    assert SEEDS
    return next(Path(SEEDS).glob(f"{prefix}_*"))


def _blocks() -> list[Block]:
    if not SEEDS:
        return []
    found = [*fenced(_document("000")), *run_together(_document("001")), *fenced(_document("002"))]
    # Not those with buckets, which need storage connections.
    return [block for block in found if block.language != "json" and "s3://" not in block.text]


def _json_blocks() -> list[Block]:
    """Bodies of requests, and webhooks: those that name an id."""
    if not SEEDS:
        return []
    found = [*fenced(_document("000")), *fenced(_document("002")), *webhook_of(_document("001"))]
    return [block for block in found if block.language == "json"]


def _media_blocks() -> list[Block]:
    if not SEEDS:
        return []
    reads = [block for block in curls(_document("003")) if not _changes(block)]
    return [*reads, *fetches(_document("003"))]


def _changes(block: Block) -> bool:
    return " -X PATCH " in block.text or " -X DELETE " in block.text


def _change_blocks() -> list[Block]:
    return [block for block in curls(_document("003")) if _changes(block)] if SEEDS else []


def replaced(text: str, up: BitmillUp, uploads: FileServer, media_id: str = "") -> str:
    """The block with our hosts and key instead of those in the documents."""
    for old, new in {
        "https://api.ittybit.com": up.api.address,
        "https://tapestry-app.com/submissions": uploads.address,
        "https://darkroom-app.com/uploads": uploads.address,
        "https://yourbucket.s3.amazonaws.com": uploads.address,
        "Bearer ITTYBIT_API_KEY": f"Bearer {up.env['ITTYBIT_API_KEY']}",
        "med_abcdefgh1234": media_id,
    }.items():
        text = text.replace(old, new)
    return text


async def run(block: Block, text: str, up: BitmillUp, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a block in its language; returns its output. An added line prints the answer of an API call."""
    match block.language:
        case "bash":
            command = ["bash", "-euo", "pipefail", "-c", text]
        case "python":
            before = "import os, json, requests\napi_key = os.environ['ITTYBIT_API_KEY']\n"
            command = [sys.executable, "-c", f"{before}{text}\nprint(json.dumps(data))"]
        case _:
            name = "response" if "const response" in text else "res"
            key = "const ITTYBIT_API_KEY = process.env.ITTYBIT_API_KEY;\n"
            show = (
                "console.log(JSON.stringify(data));" if "const data" in text else f"console.log(await {name}.text());"
            )
            script = cwd / f"{block.number}.mjs"
            script.write_text(f"{key}{text}\n{show}")
            command = [shutil.which("node") or "node", str(script)]
    done = await shell(command, cwd=cwd, env=env or up.env)
    assert done.returncode == 0, f"{block}: {done.stdout}\n{done.stderr}"
    return done.stdout


def require_node() -> None:
    """Whoever has the documents executed wants all of their languages: nothing is skipped."""
    assert shutil.which("node"), "SEEDS_DIR is set, and the TypeScript of the documents needs Node 18 or newer"


def test_every_block_of_the_documents_is_executed_by_some_test() -> None:
    """Those with buckets have a test of their own."""
    if not SEEDS:
        pytest.skip("SEEDS_DIR is not set")
    written = [*fenced(_document("000")), *run_together(_document("001")), *fenced(_document("002"))]
    executed = {str(block) for block in (*_blocks(), *_json_blocks())}
    left = [block for block in written if str(block) not in executed]
    assert all("s3://" in block.text for block in left), left
    assert len(written) == 5 + 4 + 12


@pytest.mark.skipif(not SEEDS, reason="SEEDS_DIR is not set; test_requests.py makes the same requests")
@pytest.mark.parametrize("block", _json_blocks(), ids=str)
async def test_a_json_block_of_the_documents_is_a_request_or_a_webhook(
    block: Block, up: BitmillUp, uploads: FileServer, hooks: WebhookReceiver
) -> None:
    shown = json.loads(replaced(block.text, up, uploads))
    if "id" not in shown:
        job = await up.api.post("/jobs", shown)
        assert job["options"] == shown["options"]
        assert (await up.api.finished(job["id"]))["status"] == shown.get("status", "succeeded")
        return
    noun = shown["id"].partition("_")[0]
    sent = {"input": uploads.url("photo.png"), "kind": "image", "options": {"width": 64}, "webhook_url": hooks.url()}
    job = await up.api.post(f"/{noun}s", {**sent, "metadata": shown["metadata"]})
    webhook = await hooks.webhook(job["id"])
    assert webhook["id"].startswith(f"{noun}_")
    assert {name: webhook[name] for name in ("status", "metadata")} == {n: shown[n] for n in ("status", "metadata")}
    assert webhook["output"]["url"].startswith("http")


@pytest.mark.skipif(not SEEDS, reason="SEEDS_DIR is not set; test_requests.py makes the same requests")
@pytest.mark.parametrize("block", _blocks(), ids=str)
async def test_a_code_block_of_the_documents_works(
    block: Block, up: BitmillUp, uploads: FileServer, tmp_path: Path
) -> None:
    if block.language == "typescript":
        require_node()
    if "ittybit " in block.text:
        await _run_in_both_modes(block, up, uploads, tmp_path)
        return
    await _check_job(_json(await run(block, replaced(block.text, up, uploads), up, tmp_path)), block, up)


async def _run_in_both_modes(block: Block, up: BitmillUp, uploads: FileServer, tmp_path: Path) -> None:
    """A shell block through the API, and on this machine unless it says --cloud itself."""
    environments = {"cloud": up.env, "local": without_any_service(up)}
    if "--cloud" in block.text:
        del environments["local"]
    for mode, env in environments.items():
        folder = tmp_path / mode
        folder.mkdir()
        for name in ("clip.mov", "photo.png"):
            shutil.copy(uploads.path(name), folder / name)
        output = await run(block, replaced(block.text, up, uploads), up, folder, env)
        ends = [json.loads(line) for line in output.splitlines() if '"progress"' not in line[:22]]
        assert len(ends) == block.text.count("ittybit ")
        assert {end["status"] for end in ends} == {"succeeded"}
        assert {"id" in end for end in ends} == {mode == "cloud"}
        for name in re.findall(r"-o (\S+)", block.text):
            assert (folder / name).stat().st_size


def _json(output: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(output)
    return answer


async def _check_job(job: dict[str, Any], block: Block, up: BitmillUp) -> None:
    assert job["object"] == ("task" if "/tasks" in block.text else "job")
    assert job["status"] == "queued"
    if "campaign" in block.text:
        assert job["metadata"] == {"user_id": "usr_abc123", "submission_id": "sub_9182", "campaign": "summer-launch"}
    done = await up.api.finished(job["id"])
    assert done["status"] == "succeeded", done["error"]
    assert done["metadata"] == job["metadata"]
    assert done["output"]["width"] == job["options"]["width"]


@pytest.mark.skipif(not SEEDS, reason="SEEDS_DIR is not set; test_requests.py makes the same requests")
@pytest.mark.parametrize("block", _media_blocks(), ids=str)
async def test_a_request_of_the_media_reference_works(
    block: Block, up: BitmillUp, uploads: FileServer, media_id: str, tmp_path: Path
) -> None:
    if block.language == "typescript":
        require_node()
    text = replaced(block.text, up, uploads, media_id)
    # One project for all tests: the reference's file name may be taken by an earlier run of the same block.
    answer = _json(await run(block, text, up, tmp_path))
    assert answer["meta"]["version"] == "2024-08-21"
    assert answer["meta"]["status"] == 200
    assert answer["data"]


@pytest.mark.skipif(not SEEDS, reason="SEEDS_DIR is not set; test_requests.py makes the same requests")
async def test_the_changes_of_the_media_reference_work_in_turn(
    up: BitmillUp, uploads: FileServer, tmp_path: Path
) -> None:
    media = {"url": uploads.url("photo.png"), "title": "My Video Upload", "metadata": {"purpose": "profile_video"}}
    id = (await up.api.post("/media", media))["data"]["id"]
    patch, delete = _change_blocks()
    text = replaced(patch.text, up, uploads, id)
    changed = _json(await run(patch, text, up, tmp_path))["data"]
    assert (changed["title"], changed["folder"]) == ("My New Title", "new/folder/path")
    assert changed["metadata"] == {"new_value": "New value"}
    text = replaced(delete.text.replace("med_abcdefgh", "med_abcdefgh1234"), up, uploads, id)
    answer = _json(await run(delete, text, up, tmp_path))
    assert (answer["data"], answer["meta"]["type"], list(answer["links"])) == (None, None, ["parent"])

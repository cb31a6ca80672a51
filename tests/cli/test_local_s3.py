"""`s3://` addresses of jobs on this machine, against a real server: outputs, connections, failures."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.footage import Material
from tests.support.processes import clean_environment, shell
from tests.support.s3_servers import ACCESS_KEY, REGION, SECRET, S3Server, moto

ROOT = Path(__file__).parents[2]
LINE = "ittybit video -i s3://uploads/clip.mov -o s3://processed/clip-hd.mp4 --width 64 --format mp4 --quality high"


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[S3Server]:
    async with moto() as server:
        await server.create_buckets("uploads", "processed")
        yield server


@pytest.fixture
def environment(server: S3Server, tmp_path: Path) -> dict[str, str]:
    """A shell with the credentials of AWS' tools."""
    return {
        **clean_environment(),
        "ITTYBIT_CONFIG_DIR": str(tmp_path / "settings"),
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": server.endpoint,
    }


async def last_line(line: str, folder: Path, environment: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    done = await shell(["bash", "-c", line], cwd=folder, env=environment)
    assert done.stdout, done.stderr
    end: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return done.returncode, end


async def test_the_line_of_the_documents_works_on_this_machine(
    server: S3Server, environment: dict[str, str], material: Material, tmp_path: Path
) -> None:
    await server.put("uploads", "clip.mov", material.flat().read_bytes())
    status, end = await last_line(LINE, tmp_path, environment)
    assert (status, end["status"], end["output"]["url"]) == (0, "succeeded", "s3://processed/clip-hd.mp4")
    stored = await server.get("processed", "clip-hd.mp4")
    assert (len(stored), end["output"]["width"]) == (end["output"]["filesize"], 64)
    assert [path.name for path in tmp_path.iterdir()] == []


async def test_a_connection_of_the_user_is_named_or_the_default(
    server: S3Server, environment: dict[str, str], material: Material, tmp_path: Path
) -> None:
    await server.put("uploads", "photo.png", material.alpha().read_bytes())
    without = {name: value for name, value in environment.items() if not name.startswith("AWS_")}
    add = f"ittybit connections add s3 --name store --endpoint {server.endpoint} --region {REGION}"
    add += f" --access-key-id {ACCESS_KEY} --secret-access-key {SECRET}"
    status, _ = await last_line(add, tmp_path, without)
    assert status == 0
    line = (
        "ittybit image -i s3://uploads/photo.png -o 's3://processed/{filename}-{width}.{ext}' --width 32 --format webp"
    )
    status, end = await last_line(f"{line} --connection store", tmp_path, without)
    assert (status, end["output"]["url"]) == (0, "s3://processed/photo-32.webp"), end
    status, _ = await last_line("ittybit connections update store --default", tmp_path, without)
    assert (status, (await last_line(line, tmp_path, without))[0]) == (0, 0)


async def test_an_object_that_is_not_there_fails_with_the_sentence_of_the_api(
    environment: dict[str, str], tmp_path: Path
) -> None:
    status, end = await last_line("ittybit video -i s3://uploads/absent.mov", tmp_path, environment)
    assert (status, end["error"]["kind"]) == (1, "storage_object_not_found")


@pytest.mark.parametrize("words", ["-i s3://uploads/", "-i s3://U/k.mov", "-i s3://uploads/a.mov -o s3://b/{what}.mp4"])
async def test_an_address_that_breaks_a_rule_is_refused(
    environment: dict[str, str], tmp_path: Path, words: str
) -> None:
    done = await shell(["bash", "-c", f"ittybit video {words}"], cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith(("bitmill: --input s3://", "bitmill: --output s3://", "ittybit: --"))

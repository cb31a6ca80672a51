"""Some dozens of the corpus through HTTP at once: jobs and media items of one `bitmill up`, judged as all others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.faults import Fault
from schemas.files import Output
from schemas.ids import derived
from tests.corpus.case import Case, Check, job_of
from tests.corpus.judge import problems
from tests.corpus.product import Result
from tests.corpus.rows import of_inputs, parameters
from tests.support.file_server import file_server
from tests.support.system import BitmillUp
from tests.support.waiting import until

_SHORT = ("rotated_90.mp4", "al_qtrle.mov", "h_plain.heic", "p_blacklogo.png", "page.mp4", "tone.mp3", "exif_6.jpg")
_INPUTS = (
    *_SHORT,
    *("vfr_static_tail.mp4", "long_second_audio.mp4", "ts_concat.ts", "c_dts.mkv", "c_cinepak.avi", "ea_empty.webm"),
    *("rate_22254.mov", "ch_8.mov", "br_damaged_start.mp4", "webm_reschange.webm", "al_vp9.webm", "big_tall.jpg"),
    *("b_noeoi.jpg", "b_bmp.bmp", "truncated_50.mp4", "bomb.png", "animated.gif", "pq_white.mp4", "p3.jpg", "cmyk.jpg"),
)
"""Each kind of public bug report, and some that were always right; `make test` has the first ones."""
_WITHIN = 600.0


@pytest.fixture(scope="module")
async def results(
    request: pytest.FixtureRequest,
    up: BitmillUp,
    corpus_input: Callable[[Case], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[dict[str, asyncio.Task[Result]]]:
    """The ends of the jobs of all tests that run, by the name of their row; they are posted at once."""
    folder = tmp_path_factory.mktemp("outputs")
    wanted = {item.name for item in request.session.items if item.path == request.path}
    async with file_server() as files:
        tasks = {}
        for name, case, check in of_inputs(*_INPUTS):
            if f"test_what_the_api_makes_is_right[{name}]" in wanted:
                result = _result(check, files.add(corpus_input(case)), folder / name, up)
                tasks[name] = asyncio.create_task(result, name=name)
        yield tasks
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _result(check: Check, url: str, target: Path, up: BitmillUp) -> Result:
    return await (_item(url, target, up) if job_of(check) == "item" else _job(check, url, target, up))


async def _job(check: Check, url: str, target: Path, up: BitmillUp) -> Result:
    body = {"input": url, "kind": job_of(check), "options": dict(check.options)}
    job = await up.api.finished((await up.api.post("/jobs", body))["id"], within=_WITHIN)
    if job["error"] is not None:
        return Result(fault=Fault.model_validate(job["error"]))
    made = job["output"]
    await _download(made["url"], target, up)
    fields = {name: made[name] for name in ("kind", "format", "width", "height", "duration", "filesize", "warnings")}
    return Result(output=Output(id="file_1", key="k", path="p", content_type="x/y", **fields), path=target)


async def _item(url: str, target: Path, up: BitmillUp) -> Result:
    created = (await up.api.post("/media", {"url": url}))["data"]

    async def ended() -> Any:
        item = (await up.api.get(f"/media/{created['id']}"))["data"]
        return item if item["status"] != "processing" else None

    item = await until(ended, within=_WITHIN)
    if item["error"] is not None:
        return Result(fault=Fault.model_validate(item["error"]))
    job = await up.api.finished(derived("job", item["id"], "poster"), within=_WITHIN)
    if job["error"] is not None:
        return Result(fault=Fault.model_validate(job["error"]))

    async def has_a_poster() -> Any:
        item = (await up.api.get(f"/media/{created['id']}"))["data"]
        return item if "poster" in item else None

    item = await until(has_a_poster, within=_WITHIN)
    await _download(item["poster"], target, up)
    poster = next(source for source in item["sources"] if source["label"] == "poster")
    fields = {name: poster[name] for name in ("kind", "format", "width", "height", "filesize")}
    palette = {name: item[name] for name in ("placeholder", "background")}
    return Result(
        output=Output(id="f", key="k", path="p", content_type=poster["type"], **fields, **palette), path=target
    )


async def _download(url: str, target: Path, up: BitmillUp) -> None:
    async with up.api.session.get(url) as response:
        assert response.status == 200, f"{url}: {response.status}"
        target.write_bytes(await response.read())


@pytest.mark.parametrize(("name", "check"), parameters(_INPUTS, short=_SHORT))
async def test_what_the_api_makes_is_right(name: str, check: Check, results: dict[str, asyncio.Task[Result]]) -> None:
    assert problems(check, await results[name]) == []

"""A few jobs of the corpus as `bitmill video` and `bitmill image` on this machine: the same outputs and sentences."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.faults import Fault
from schemas.files import MediaKind, Output
from tests.corpus.case import Case, Check, Film, Refused, job_of
from tests.corpus.judge import problems
from tests.corpus.product import Product, Result
from tests.corpus.rows import named
from tests.support.processes import clean_environment, shell

_SUCCEED = named("rotated_90.mp4", "b_frames.mp4", "exif_6.jpg", "ch_8.mov", "br_damaged_start.mp4")
_FAIL = named("page.mp4", "truncated_50.mp4", "tone.mp3", "bomb.png", "truncated_60.jpg", "start_past_end.mp4")


async def run(check: Check, source: Path, folder: Path) -> tuple[int, dict[str, Any], str]:
    """Exit status, the job that is printed last, and standard error."""
    job = job_of(check)
    options = [word for name, value in check.options.items() for word in (f"--{name}", str(value))]
    format = check.options.get("format", "mp4" if job == "video" else "jpeg")
    extension = {"jpeg": "jpg"}.get(format, format)
    command = [sys.executable, "-m", "cli", job, "-i", str(source), "-o", str(folder / f"made.{extension}")]
    done = await shell([*command, *options, "--local", "--json"], cwd=Path.cwd(), env=clean_environment())
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.parametrize(("case", "check"), _SUCCEED)
async def test_the_shell_makes_the_same_output(
    case: Case, check: Check, corpus_input: Callable[[Case], Path], tmp_path: Path
) -> None:
    status, job, errors = await run(check, corpus_input(case), tmp_path)
    assert (status, job["status"]) == (0, "succeeded"), (job, errors)
    path = Path(job["output"]["path"])
    kind: MediaKind = "video" if isinstance(check, Film) else "image"
    printed = {name: job["output"][name] for name in ("format", "filesize", "warnings")}
    output = Output(id="file_1", key="k", kind=kind, content_type="x/y", path="p", **printed)
    assert problems(check, Result(output=output, path=path)) == []


@pytest.mark.parametrize(("case", "check"), _FAIL)
async def test_the_shell_prints_the_sentence_of_the_api(
    case: Case, check: Check, product: Product, corpus_input: Callable[[Case], Path], tmp_path: Path
) -> None:
    status, job, errors = await run(check, corpus_input(case), tmp_path)
    assert (status, job["status"]) == (1, "failed")
    assert "Traceback" not in errors
    of_a_worker = await product.run(check, corpus_input(case), tmp_path)
    assert Fault.model_validate(job["error"]) == of_a_worker.fault
    assert isinstance(check, Refused) and job["error"]["kind"] == check.code
    assert list(tmp_path.iterdir()) == []

"""A local job that fails: the sentence that the API would show, exit status 1, and never a traceback."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from chassis.core import logs
from cli.args import parser
from cli.job_lines import job_lines
from cli.job_options import option_values, validated
from cli.local_run import run_locally
from cli.reporter import open_reporter
from media.faults import OutputMismatch
from media.ffmpeg import FfmpegFailed
from schemas.faults import FAULTS
from services.transcoder import encode
from tests.support.footage import Material


async def run(line: list[str], out: io.StringIO) -> int:
    arguments = parser().parse_args(line)
    with open_reporter(arguments, out, io.StringIO()) as reporter:
        options = validated(arguments.kind, option_values(arguments))
        return await run_locally(job_lines(arguments), options, reporter)


@pytest.mark.parametrize(
    "error", [FfmpegFailed("[aac @ 0x5] not supported"), OutputMismatch("planned 1"), RuntimeError("unknown fault")]
)
@pytest.mark.parametrize("as_text", [False, True], ids=["json", "text"])
async def test_a_failure_of_ours_ends_with_the_sentence_of_the_api(
    error: Exception, as_text: bool, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> None:
        raise error

    monkeypatch.setattr(encode, "encode", fails)
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    out = io.StringIO()
    line = ["video", "-i", str(material.flat()), "-o", str(tmp_path / "o.mp4"), "--tty" if as_text else "--json"]
    assert await run(line, out) == 1
    last = out.getvalue().splitlines()[-1]
    if as_text:
        assert last == f"failed: {FAULTS['internal_error']} [internal_error]"
    else:
        assert json.loads(last)["error"] == {"kind": "internal_error", "message": FAULTS["internal_error"]}

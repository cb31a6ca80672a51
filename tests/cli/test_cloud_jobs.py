"""Jobs through a small API: uploads of files, downloads of outputs, several at once, failures, an API that is away."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.__main__ import main
from schemas.ids import typeid, uuid7
from tests.cli.conftest import Api

JOB = typeid("job", uuid7(1_700_000_000_000, b"0123456789"))
UPLOAD = "https://api/uploads/upl_1"


def job(api: Api, status: str = "succeeded", **fields: Any) -> dict[str, Any]:
    output = {"url": f"{api.address}/made.mp4", "format": "mp4", "width": 64, "height": 36, "filesize": 4}
    base = {"id": JOB, "kind": "video", "status": status, "progress": None, "error": None}
    return {**base, "output": output if status == "succeeded" else None, **fields}


@pytest.fixture
def ready(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Api:
    """An API with whom each job succeeds at once, and a folder with a film to work in."""
    monkeypatch.chdir(tmp_path)
    Path("clip.mov").write_bytes(b"01234567")
    api.answers = {
        "POST /uploads": [(201, {"id": "upl_1", "url": f"{api.address}/uploads/upl_1?token=t", "method": "PUT"})],
        "PUT /uploads/upl_1": [(200, {"id": "upl_1", "address": UPLOAD, "size": 8})],
        "POST /jobs": [(201, job(api))],
        "GET /made.mp4": [(200, b"made")],
    }
    return api


def results(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if line.get("object") != "progress"]


def test_a_file_is_uploaded_and_its_output_downloaded(ready: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["video", "-i", "clip.mov", "--width", "64", "--tty"]) == 0
    assert [f"{method} {path}" for method, path, _ in ready.requested] == list(ready.answers)
    assert ready.bodies[0] == {"filename": "clip.mov", "size": 8}
    assert ready.bodies[1] == b"01234567"
    assert ready.bodies[2] == {"input": UPLOAD, "kind": "video", "options": {"width": 64}}
    assert Path("clip-video.mp4").read_bytes() == b"made"
    assert capsys.readouterr().out == "clip-video.mp4  (64x36, 4 bytes, 50% of the input)\n"


def test_an_address_is_passed_on_and_its_output_stays_where_it_is(ready: Api) -> None:
    for input in ("http://h/clip.mov", "s3://bucket/clip.mov", typeid("med", uuid7(1, b"0123456789"))):
        ready.bodies.clear()
        assert main(["video", "-i", input]) == 0
        assert ready.bodies == [{"input": input, "kind": "video", "options": {}}]
    assert [path.name for path in Path.cwd().iterdir()] == ["clip.mov"]


def test_an_output_in_a_bucket_is_part_of_the_job(ready: Api) -> None:
    assert main(["video", "-i", "s3://uploads/clip.mov", "-o", "s3://processed/clip-hd.mp4", "--width", "64"]) == 0
    options = {"width": 64, "format": "mp4"}
    wanted = {"input": "s3://uploads/clip.mov", "kind": "video", "options": options}
    assert ready.bodies == [{**wanted, "output": "s3://processed/clip-hd.mp4"}]


def test_a_connection_is_named_by_its_name_or_its_id(ready: Api, capsys: pytest.CaptureFixture[str]) -> None:
    ready.answers["GET /connections"] = [(200, [{"id": "conn_1", "name": "store"}])]
    ready.answers["GET /connections/conn_2"] = [(200, {"id": "conn_2", "name": "other"})]
    for name, id in (("store", "conn_1"), ("conn_2", "conn_2")):
        assert main(["video", "-i", "s3://b/k.mov", "--connection", name]) == 0
        assert ready.bodies[-1]["connection_id"] == id
    assert main(["video", "-i", "s3://b/k.mov", "--connection", "stor"]) == 2
    assert capsys.readouterr().err == "bitmill: there is no connection named stor; did you mean store?\n"


def test_of_several_inputs_one_fails_and_the_others_are_done(ready: Api, capsys: pytest.CaptureFixture[str]) -> None:
    Path("other.mov").write_bytes(b"01234567")
    fault = {"kind": "input_damaged", "message": "The file is damaged."}
    ready.answers["POST /jobs"] = [(201, job(ready)), (201, job(ready, "failed", error=fault))]
    assert main(["video", "-i", "*.mov", "--json"]) == 1
    ended = results(capsys)
    assert sorted(line["status"] for line in ended[:-1]) == ["failed", "succeeded"]
    assert ended[-1] == {"object": "summary", "inputs": 2, "done": 1, "failed": 1}
    assert len(list(Path.cwd().glob("*-video.mp4"))) == 1


def test_a_refusal_of_one_of_several_is_a_line_with_the_sentence_of_the_api(
    ready: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.answers["POST /jobs"] = [
        (429, {"kind": "queue_full", "message": "Too much unfinished work."}),
        (201, job(ready)),
    ]
    assert main(["video", "-i", "http://h/a", "http://h/b", "--json"]) == 1
    failed = next(line for line in results(capsys) if line.get("status") == "failed")
    assert failed["error"] == {"kind": "queue_full", "message": "Too much unfinished work."}
    assert failed["input"] in ("http://h/a", "http://h/b")


def test_nothing_is_uploaded_where_the_output_is_there_or_the_input_is_not(
    ready: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("clip-video.mp4").write_text("mine")
    assert main(["video", "-i", "clip.mov"]) == 2
    assert main(["video", "-i", "absent.mov"]) == 1
    assert "absent.mov: there is no such file" in capsys.readouterr().err
    assert ready.requested == []
    assert main(["video", "-i", "clip.mov", "--force"]) == 0
    assert Path("clip-video.mp4").read_bytes() == b"made"


def test_a_download_that_fails_leaves_nothing(ready: Api, capsys: pytest.CaptureFixture[str]) -> None:
    ready.answers["GET /made.mp4"] = [(410, b"gone")]
    assert main(["video", "-i", "clip.mov", "-o", "out.mp4"]) == 1
    assert "the response is 410" in capsys.readouterr().err
    assert [path.name for path in Path.cwd().iterdir()] == ["clip.mov"]


def test_a_job_is_followed_through_an_outage_of_the_api(ready: Api) -> None:
    unavailable = (503, {"kind": "unavailable", "message": "Try again."})
    ready.answers["POST /jobs"] = [(201, job(ready, "queued"))]
    ready.answers[f"GET /jobs/{JOB}"] = [unavailable, (200, job(ready, "processing")), unavailable, (200, job(ready))]
    assert main(["video", "-i", "http://h/a.mov"]) == 0
    assert ready.requested[-1][1] == f"/jobs/{JOB}"


def test_an_accepted_job_is_not_waited_for_with_async(ready: Api, capsys: pytest.CaptureFixture[str]) -> None:
    ready.answers["POST /jobs"] = [(201, job(ready, "queued"))]
    assert main(["video", "-i", "http://h/a.mov", "--async", "--json"]) == 0
    assert results(capsys) == [job(ready, "queued")]
    assert len(ready.requested) == 1


def test_an_api_that_does_not_respond_is_status_3(
    ready: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ITTYBIT_API_URL", "http://127.0.0.1:1")
    assert main(["video", "-i", "http://h/a.mov"]) == 3
    assert "does not respond" in capsys.readouterr().err
    assert main(["video", "-i", "http://h/a.mov", "http://h/b.mov", "--json"]) == 3


def test_the_body_of_a_job_is_an_argument(ready: Api, capsys: pytest.CaptureFixture[str]) -> None:
    body = {"input": "http://h/a.mov", "kind": "video"}
    assert main(["jobs", "create", "--body", json.dumps(body), "-o", "out.mp4"]) == 0
    assert ready.bodies[0] == body
    assert Path("out.mp4").read_bytes() == b"made"
    assert main(["jobs", "create", "--body", "{"]) == 2
    assert "--body must be JSON" in capsys.readouterr().err


def test_a_watched_job_is_shown_until_its_end(ready: Api, capsys: pytest.CaptureFixture[str]) -> None:
    ready.answers[f"GET /jobs/{JOB}"] = [(200, job(ready, "processing", progress=0.5)), (200, job(ready))]
    ready.answers[f"GET /jobs/{JOB}/events"] = [(404, {"kind": "not_found", "message": "There is nothing here."})]
    assert main(["jobs", "watch", JOB, "--tty"]) == 0
    assert capsys.readouterr().out == f"{ready.address}/made.mp4  (64x36, 4 bytes)\n"


def test_upload_prints_an_address_for_each_file(ready: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upload", "clip.mov", "--tty"]) == 0
    assert capsys.readouterr().out == f"{UPLOAD}  (8 bytes)\n"
    Path("empty.mov").touch()
    assert main(["upload", "empty.mov"]) == 1
    assert capsys.readouterr().err == "bitmill: empty.mov is empty\n"

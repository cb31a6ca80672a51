"""`jobs list`, `jobs cancel` and `jobs retry` against a small API: what is requested, and what is printed."""

import json

import pytest

from cli.__main__ import main
from cli.job_actions import milliseconds
from schemas.ids import typeid, uuid7
from tests.cli.conftest import Api

JOB = typeid("job", uuid7(1_700_000_000_000, b"0123456789"))


def a_job(**fields: object) -> dict[str, object]:
    job = {"id": JOB, "status": "failed", "kind": "video", "created_at": 1_700_000_000_000, "input": "https://h/a.mov"}
    return job | fields


def test_every_filter_is_a_parameter_of_the_request(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.body = [a_job()]
    line = ["jobs", "list", "--kind", "video", "--status", "failed", "--input", "https://h/a?b=c", "--order", "asc"]
    line += ["--metadata", "user=7", "--metadata", "a.b==c d&", "--created-after", "2023-11-14T22:13:20Z"]
    line += ["--created_before", "1700000001000", "--limit", "5", "--after", JOB]
    assert main(line) == 0
    assert api.requested == [
        (
            "GET",
            "/jobs",
            [
                ("kind", "video"),
                ("status", "failed"),
                ("input", "https://h/a?b=c"),
                ("after", JOB),
                ("order", "asc"),
                ("limit", "5"),
                ("created_after", "1700000000000"),
                ("created_before", "1700000001000"),
                ("metadata.user", "7"),
                ("metadata.a.b", "=c d&"),
            ],
        )
    ]
    assert json.loads(capsys.readouterr().out) == a_job()


def test_ten_jobs_are_listed_a_line_each(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.body = [a_job(), a_job(status="queued", kind="image", input="https://h/\x1b[2J")]
    assert main(["jobs", "list", "--tty"]) == 0
    assert api.requested == [("GET", "/jobs", [("limit", "10")])]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [JOB, "failed", "video", "2023-11-14", "22:13:20", "https://h/a.mov"]
    assert lines[1].endswith("https://h/\\x1b[2J")


def test_a_refusal_is_the_sentence_of_the_api(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.status, api.body = 400, {"kind": "invalid_input", "message": "limit must be at most 100 (got 1000)"}
    assert main(["jobs", "list", "--limit", "1000"]) == 1
    assert capsys.readouterr().err == "bitmill: limit must be at most 100 (got 1000) [invalid_input]\n"


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--metadata", "user"], "--metadata must be KEY=VALUE (got 'user')"),
        (["--created-after", "yesterday"], "--created-after must be Unix milliseconds or a time such as"),
    ],
)
def test_a_filter_that_cannot_be_read_is_named(
    api: Api, capsys: pytest.CaptureFixture[str], option: list[str], words: str
) -> None:
    assert main(["jobs", "list", *option]) == 2
    assert words in capsys.readouterr().err
    assert api.requested == []


def test_times_are_milliseconds_or_iso_8601() -> None:
    assert milliseconds("1700000000000") == milliseconds("2023-11-14T22:13:20Z") == "1700000000000"
    assert milliseconds("2023-11-14T23:13:20.5+01:00") == "1700000000500"


def test_a_job_is_cancelled_by_its_id(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.body = {"id": JOB, "status": "cancelling"}
    assert main(["jobs", "cancel", JOB, "--tty"]) == 0
    assert api.requested == [("POST", f"/jobs/{JOB}/cancel", [])]
    assert capsys.readouterr().out == f"{JOB} cancelling\n"
    assert main(["jobs", "cancel", "nonsense"]) == 2


def test_a_job_is_run_again_and_followed_to_its_end(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.body = a_job(run=2, status="cancelled", progress=None, error=None)
    assert main(["jobs", "retry", JOB, "--tty"]) == 1
    assert api.requested == [("POST", f"/jobs/{JOB}/retry", [])]
    assert capsys.readouterr().out == f"{JOB} cancelled: The job was cancelled. [cancelled]\n"
    assert main(["jobs", "retry", JOB, "--async", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == 2

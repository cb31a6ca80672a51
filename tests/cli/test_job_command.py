"""Jobs on the command line: options from flags and file names, refused options, where a job runs, what is printed."""

import argparse
import io
import json
from pathlib import Path

import pytest

from cli.__main__ import main
from cli.args import parser
from cli.errors import UsageError
from cli.job_options import option_values, request_body, uses_api, validated
from cli.local_run import output_path
from cli.reporter import TextReporter, open_reporter


def parsed(line: str) -> argparse.Namespace:
    return parser().parse_args(line.split())


def test_the_format_follows_the_extension_of_the_output() -> None:
    assert option_values(parsed("image -i a.mov -o b.webp --start 2 --width 640")) == {
        "format": "webp",
        "width": 640,
        "start": 2,
    }
    assert option_values(parsed("image -i a.png -o b.JPG"))["format"] == "jpeg"


def test_a_format_that_contradicts_the_output_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--output b.webm does not fit --format mp4"):
        option_values(parsed("video -i a.mov -o b.webm --format mp4"))


def test_an_extension_that_names_no_format_is_refused_by_the_name_of_the_option_that_was_given() -> None:
    with pytest.raises(UsageError, match=r"--output b\.bmp: its extension must be one of jpeg, png, webp, avif$"):
        option_values(parsed("image -i a -o b.bmp"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("video -i a --width 5", "--width must be even for video (got 5)"),
        ("video -i a --width wide", '--width must be a whole number (got "wide")'),
        ("video -i a --quality best", "--quality must be one of"),
        ("video -i a --start 5 --end 3", "end must be after start, which is 5"),
        ("image -i a --format bmp", "--format must be one of"),
    ],
)
def test_an_invalid_option_is_refused_with_the_sentence_of_the_api(line: str, words: str) -> None:
    arguments = parsed(line)
    with pytest.raises(UsageError) as refused:
        validated(arguments.kind, option_values(arguments))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("line", "has_key", "api"),
    [
        ("video -i http://h/a", True, True),
        ("video -i http://h/a", False, False),
        ("video -i http://h/a --local", True, False),
        ("video -i a.mov", True, False),
        ("video -i http://h/a --cloud", False, True),
    ],
)
def test_a_url_goes_to_the_api_if_there_is_a_key_and_a_file_is_processed_locally(
    line: str, has_key: bool, api: bool
) -> None:
    assert uses_api(parsed(line), has_key=has_key) is api


def test_a_file_of_this_machine_cannot_go_to_the_api() -> None:
    with pytest.raises(UsageError, match="needs a URL"):
        request_body(parsed("video -i a.mov --cloud"), {})


def test_a_priority_is_part_of_the_request() -> None:
    arguments = parsed("video -i http://h/a.mov --priority high")
    assert request_body(arguments, {})["priority"] == "high"
    assert "priority" not in request_body(parsed("video -i http://h/a.mov"), {})


def test_the_default_output_is_in_the_current_folder_and_never_the_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").touch()
    assert output_path(parsed("video -i clip.mp4"), "mp4") == Path("clip-video.mp4")
    assert output_path(parsed("video -i clip.mp4"), "webm") == Path("clip.webm")
    assert output_path(parsed("image -i http://h/a%20b.mov?x=1"), "jpeg") == Path("a b.jpg")


def test_a_pipe_gets_json_lines_and_each_percent_once() -> None:
    out = io.StringIO()
    with open_reporter(parsed("video -i a"), out, io.StringIO()) as reporter:
        for fraction in (0.1, 0.101, 0.5):
            reporter.progress("video", fraction)
        reporter.result({"object": "job", "status": "succeeded"}, "done")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line.get("progress") for line in lines] == [0.1, 0.5, None]
    assert lines[-1] == {"object": "job", "status": "succeeded"}


def test_a_terminal_gets_a_sentence() -> None:
    out, err = io.StringIO(), io.StringIO()
    with open_reporter(parsed("video -i a --tty"), out, err) as reporter:
        reporter.progress("video", 0.5)
        reporter.result({"object": "job"}, "clip.mp4  (320x240)")
    assert out.getvalue() == "clip.mp4  (320x240)\n"


def test_without_rich_there_is_a_sentence_and_no_bar() -> None:
    out = io.StringIO()
    reporter = TextReporter(out, None)
    reporter.progress("video", 0.5)
    reporter.result({"object": "job"}, "clip.mp4  (320x240)")
    assert out.getvalue() == "clip.mp4  (320x240)\n"


@pytest.mark.parametrize("option", ["--async", "--webhook-url=https://h/hook", "--priority=high"])
def test_an_option_of_the_api_is_refused_for_a_local_job(capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert main(["video", "-i", "clip.mov", option]) == 2
    assert capsys.readouterr().err.startswith(f"bitmill: {option.partition('=')[0]} needs the API")


@pytest.mark.parametrize(
    ("address", "output", "words"),
    [
        ("127.0.0.1:8080", None, "ITTYBIT_API_URL must start with http:// or https:// (it is '127.0.0.1:8080')"),
        ("http://127.0.0.1:8080", "absent/a.mp4", "--output absent/a.mp4: there is no such folder"),
    ],
)
def test_a_job_of_the_api_is_refused_before_it_is_created(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    output: str | None,
    words: str,
) -> None:
    monkeypatch.setenv("ITTYBIT_API_KEY", "ittybit_live_test")
    monkeypatch.setenv("ITTYBIT_API_URL", address)
    main(["video", "-i", "http://h/a.mov", "--cloud", *(["-o", output] if output else [])])
    assert capsys.readouterr().err == f"bitmill: {words}\n"

"""The shell's jobs: options from flags and file names, refusals in the API's words, where a job runs."""

import argparse
import io
import json
from pathlib import Path

import pytest

from cli.args import parser
from cli.cloud import body
from cli.errors import UsageError
from cli.jobs import checked, in_cloud, local_output, options
from cli.show import open_show


def parsed(line: str) -> argparse.Namespace:
    return parser().parse_args(line.split())


def test_the_format_follows_the_extension_of_the_output() -> None:
    assert options(parsed("image -i a.mov -o b.webp --start 2 --width 640")) == {
        "format": "webp",
        "width": 640,
        "start": 2,
    }
    assert options(parsed("image -i a.png -o b.JPG"))["format"] == "jpeg"


def test_a_format_that_contradicts_the_output_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--output b.webm does not fit --format mp4"):
        options(parsed("video -i a.mov -o b.webm --format mp4"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("video -i a --width 5", "--width must be even for video (got 5)"),
        ("video -i a --width wide", '--width must be a whole number (got "wide")'),
        ("video -i a --quality best", "--quality must be one of"),
        ("video -i a --start 5 --end 3", "end must be after start, which is 5"),
        ("image -i a -o b.bmp", "--format must be one of"),
    ],
)
def test_a_bad_option_is_refused_in_the_words_of_the_api(line: str, words: str) -> None:
    arguments = parsed(line)
    with pytest.raises(UsageError) as refused:
        checked(arguments.kind, options(arguments))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("line", "key", "cloud"),
    [
        ("video -i http://h/a", "ittybit_live_x", True),
        ("video -i http://h/a", None, False),
        ("video -i http://h/a --local", "ittybit_live_x", False),
        ("video -i a.mov", "ittybit_live_x", False),
        ("video -i http://h/a --cloud", None, True),
    ],
)
def test_an_address_goes_to_the_api_when_a_key_is_configured_and_a_file_stays_here(
    line: str, key: str | None, cloud: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ITTYBIT_API_KEY", raising=False)
    if key:
        monkeypatch.setenv("ITTYBIT_API_KEY", key)
    assert in_cloud(parsed(line)) is cloud


def test_a_file_of_this_machine_cannot_go_to_the_api() -> None:
    with pytest.raises(UsageError, match="needs a URL"):
        body(parsed("video -i a.mov --cloud"), {})


def test_without_an_output_the_result_lands_here_and_never_on_the_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").touch()
    assert local_output(parsed("video -i clip.mp4"), "mp4") == Path("clip-video.mp4")
    assert local_output(parsed("video -i clip.mp4"), "webm") == Path("clip.webm")
    assert local_output(parsed("image -i http://h/a%20b.mov?x=1"), "jpeg") == Path("a b.jpg")


def test_a_pipe_gets_json_lines_and_each_progress_once() -> None:
    out = io.StringIO()
    with open_show(parsed("video -i a"), out, io.StringIO()) as show:
        for share in (0.1, 0.101, 0.5):
            show.progress("video", share)
        show.result({"object": "job", "status": "succeeded"}, "done")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line.get("progress") for line in lines] == [0.1, 0.5, None]
    assert lines[-1] == {"object": "job", "status": "succeeded"}


def test_people_get_a_sentence() -> None:
    out, err = io.StringIO(), io.StringIO()
    with open_show(parsed("video -i a --tty"), out, err) as show:
        show.progress("video", 0.5)
        show.result({"object": "job"}, "clip.mp4  (320x240)")
    assert out.getvalue() == "clip.mp4  (320x240)\n"

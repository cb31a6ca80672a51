"""Jobs on the command line: options from flags and file names, refused options, where a job runs, what is printed."""

import argparse
import io
import json
from pathlib import Path

import pytest

from cli.__main__ import main
from cli.api_address import uses_api
from cli.args import parser
from cli.bar import NoBar, size_text
from cli.errors import UsageError
from cli.job_lines import job_lines, output_path
from cli.job_options import option_values, request_body, validated
from cli.reporter import TextReporter, open_reporter, summary


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
    ("line", "environment", "saved", "api"),
    [
        ("video -i a.mov", {}, False, False),
        ("video -i http://h/a", {}, False, False),
        ("video -i a.mov", {"ITTYBIT_API_URL": "http://h"}, False, True),
        ("video -i http://h/a", {"ITTYBIT_API_KEY": "k"}, False, True),
        ("video -i a.mov", {}, True, True),
        ("video -i a.mov --local", {"ITTYBIT_API_KEY": "k"}, True, False),
        ("video -i a.mov --cloud", {}, False, True),
    ],
)
def test_a_job_goes_to_the_api_where_one_is_set_or_saved(
    line: str, environment: dict[str, str], saved: bool, api: bool, own_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if saved:
        (own_settings / "login.json").write_text('{"url": "http://h", "key": "k"}')
    assert uses_api(parsed(line)) is api


def test_what_the_api_has_beside_options_is_part_of_the_request() -> None:
    arguments = parsed(
        "video -i http://h/a.mov --priority high --metadata a=1 --metadata b==2 --webhook_url http://h/x"
    )
    assert request_body(arguments, "http://h/a.mov", None, {"width": 64}) == {
        "input": "http://h/a.mov",
        "kind": "video",
        "options": {"width": 64},
        "metadata": {"a": "1", "b": "=2"},
        "webhook_url": "http://h/x",
        "priority": "high",
    }
    assert set(request_body(parsed("video -i a"), "http://h/a", "s3://b/k.mp4", {})) == {
        "input",
        "kind",
        "options",
        "output",
    }


def test_options_have_the_names_of_the_api() -> None:
    assert option_values(parsed("video -i a --no_audio --fps 24 --fit cover --codec h265")) == {
        "mute": True,
        "fps": 24,
        "fit": "cover",
        "codec": "h265",
    }
    assert option_values(parsed("audio -i a -o b.mp3 --target-lufs -16")) == {
        "format": "mp3",
        "target_lufs": -16,
        "normalize": "lufs",
    }
    adaptive = (
        "adaptive -i a -o b.m3u8 --subtitle http://h/v --subtitle-label en --encryption aes-128 --key-url http://h/k"
    )
    assert option_values(parsed(adaptive)) == {
        "format": "hls",
        "subtitles": [{"url": "http://h/v", "label": "en"}],
        "encryption": {"method": "aes-128", "key_url": "http://h/k"},
    }
    with pytest.raises(UsageError, match=r"its extension must be one of hls$"):
        option_values(parsed("adaptive -i a -o b.mp4"))


def test_the_output_of_a_template_or_a_prefix_sets_no_format() -> None:
    for output in ("s3://b/{filename}.{ext}", "s3://b/p/", "out/"):
        assert option_values(parsed(f"video -i a -o {output}")) == {}
    assert option_values(parsed("video -i a -o s3://b/{job_id}.webm")) == {"format": "webm"}


def test_the_default_output_names_input_and_kind_and_is_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for line, format, name in (
        ("video -i folder/clip.mp4", "mp4", "clip-video.mp4"),
        ("image -i http://h/a%20b.mov?x=1", "jpeg", "a b-image.jpg"),
        ("video -i a.mov -o made/", "webm", "made/a-video.webm"),
    ):
        (job,) = job_lines(parsed(line))
        assert output_path(job, format) == Path(name)


def test_a_file_that_is_there_is_overwritten_only_with_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clip-video.mp4").write_text("mine")
    Path("named.mp4").write_text("mine")
    for line in ("video -i clip.mov", "video -i clip.mov -o named.mp4"):
        (job,) = job_lines(parsed(line))
        with pytest.raises(UsageError, match=r"\.mp4 is there already: --force overwrites it"):
            output_path(job, "mp4")
        (job,) = job_lines(parsed(f"{line} --force"))
        assert output_path(job, "mp4").read_text() == "mine"


def test_several_inputs_and_patterns_are_a_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.mov", "a.mov", "c.mp4", "odd[1].mov"):
        Path(name).touch()
    inputs = [line.input for line in job_lines(parsed("video -i *.mov http://h/d.mov -i c.mp4 -o out/"))]
    assert inputs == ["a.mov", "b.mov", "odd[1].mov", "http://h/d.mov", "c.mp4"]
    assert [line.input for line in job_lines(parsed("video -i odd[1].mov"))] == ["odd[1].mov"]
    assert [line.input for line in job_lines(parsed("video -i *.avi"))] == ["*.avi"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("video -i a.mov b.mov -o c.mp4", "--output c.mp4 is one file, for 2 inputs"),
        ("video -i a.mov x/a.avi", "2 inputs are named a: their outputs would be one file"),
    ],
)
def test_inputs_that_would_share_an_output_are_refused(line: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        job_lines(parsed(line))


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
    reporter = TextReporter(out, NoBar())
    reporter.progress("video", 0.5)
    reporter.result({"object": "job"}, "clip.mp4  (320x240)")
    assert out.getvalue() == "clip.mp4  (320x240)\n"


def test_progress_of_one_of_several_inputs_names_it() -> None:
    out = io.StringIO()
    with open_reporter(parsed("video -i a"), out, io.StringIO()) as reporter:
        reporter.for_input("a.mov").progress("video", 0.5)
    assert json.loads(out.getvalue()) == {"object": "progress", "input": "a.mov", "step": "video", "progress": 0.5}


def test_sizes_and_ratios_are_readable() -> None:
    assert [size_text(size) for size in (0, 999, 1500, 123_456_789, 5e12)] == [
        *("0 bytes", "999 bytes", "1.5 kB", "123 MB", "5.0 TB"),
    ]
    output = {"width": 1920, "height": 1080, "duration": 12.04, "filesize": 3_400_000}
    assert summary(output, 8_100_000) == "1920x1080, 12.0 s, 3.4 MB, 42% of the input"
    assert summary(output) == "1920x1080, 12.0 s, 3.4 MB"


@pytest.mark.parametrize("option", ["--async", "--webhook-url=https://h/hook", "--priority=high", "--metadata=a=b"])
def test_an_option_of_the_api_is_refused_for_a_local_job(
    capsys: pytest.CaptureFixture[str], option: str, own_settings: Path
) -> None:
    assert main(["video", "-i", "clip.mov", option]) == 2
    assert capsys.readouterr().err.startswith(f"bitmill: {option.partition('=')[0]} needs the API")


def test_an_unknown_option_names_the_one_that_looks_like_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["video", "-i", "a", "--widht", "64"])
    assert "unrecognized arguments: --widht 64; did you mean --width?" in capsys.readouterr().err


def test_the_values_of_options_keep_their_underscores() -> None:
    assert parsed("video -i a_b.mov --webhook_url=http://h/a_b --metadata=x_y=1").metadata == ["x_y=1"]
    assert parsed("video -i a_b.mov --webhook_url=http://h/a_b").webhook_url == "http://h/a_b"


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

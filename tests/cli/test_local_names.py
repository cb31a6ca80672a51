"""Local jobs and their files: of any name (not taken for an option, a URL or a pattern), absent, or out of reach."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from chassis.core import logs
from cli.__main__ import main
from cli.args import parser
from cli.errors import CliError, UsageError
from cli.job_lines import job_lines, output_path
from cli.job_options import option_values, validated
from cli.local_run import run_locally
from cli.reporter import open_reporter
from tests.support.footage import Material

NAMES = [
    "with space",
    "photo[page=3]",
    'it\'s, [0] "quoted"',
    "per%cent%20%03d",
    "new\nline",
    "http:x",
    "concat:a|b",
    "back\\slash",
    "*?é.mp4",
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    # Logging is configured once for a process, and this is the process of all tests.
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    return tmp_path


async def result(*argv: str) -> dict[str, Any]:
    """The last line that the command prints."""
    arguments = parser().parse_args([*argv, "--json"])
    out = io.StringIO()
    with open_reporter(arguments, out, io.StringIO()) as reporter:
        await run_locally(job_lines(arguments), validated(arguments.kind, option_values(arguments)), reporter)
    last: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return last


@pytest.mark.parametrize("name", NAMES)
async def test_a_video_of_any_name_can_be_the_input(here: Path, material: Material, name: str) -> None:
    shutil.copy(material.flat(), here / name)
    job = await result("video", "-i", name, "-o", "out.webm", "--width", "32", "--end", "0.2")
    assert job["status"] == "succeeded", job["error"]
    assert (job["input"], job["output"]["width"]) == (name, 32)
    assert (here / "out.webm").is_file()


@pytest.mark.parametrize("name", NAMES)
async def test_an_image_of_any_name_can_be_the_input(here: Path, material: Material, name: str) -> None:
    shutil.copy(material.alpha(), here / name)
    job = await result("image", "-i", name, "-o", "out.webp", "--width", "32")
    assert job["status"] == "succeeded", job["error"]
    assert job["output"]["width"] == 32


@pytest.mark.parametrize("name", NAMES[:4])
async def test_an_output_can_have_any_name(here: Path, material: Material, name: str) -> None:
    shutil.copy(material.flat(), here / "clip.mp4")
    (here / name).mkdir()
    job = await result("image", "-i", "clip.mp4", "-o", f"{name}/{name}.png", "--width", "32")
    assert job["status"] == "succeeded", job["error"]
    assert [path.name for path in (here / name).iterdir()] == [f"{name}.png"]


@pytest.mark.parametrize("given", [("-i", "./-i.mp4"), ("--input=-i.mp4",), ("-i-i.mp4",)])
async def test_a_name_that_looks_like_an_option_is_given_in_the_usual_ways(
    here: Path, material: Material, given: tuple[str, ...]
) -> None:
    shutil.copy(material.flat(), here / "-i.mp4")
    job = await result("image", *given)
    assert job["status"] == "succeeded", job["error"]
    assert (here / "-i-image.jpg").is_file()


def test_the_default_output_is_never_the_input(here: Path) -> None:
    for name in ("-i.mp4", "http:x.mp4", "a b%20.mp4", "new\nline.mp4"):
        (here / name).touch()
        (line,) = job_lines(parser().parse_args(["video", f"--input={name}"]))
        target = output_path(line, "mp4")
        assert target.name == f"{Path(name).stem}-video.mp4"


@pytest.mark.parametrize("output", ["clip.mov", "./clip.mov", "link.mov"])
def test_the_input_is_never_overwritten(here: Path, output: str) -> None:
    (here / "clip.mov").write_bytes(b"the only copy")
    (here / "link.mov").symlink_to("clip.mov")
    arguments = parser().parse_args(["video", "-i", "clip.mov", "-o", output])
    (line,) = job_lines(arguments)
    with pytest.raises(UsageError, match="is the input"):
        output_path(line, "mov")
    assert (here / "clip.mov").read_bytes() == b"the only copy"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("-i", "absent.mov"), "--input absent.mov: there is no such file"),
        (("-i", "folder"), "--input folder is a folder; name a file"),
        (("-i", "clip.mov", "-o", "absent/a.webp"), "--output absent/a.webp: there is no such folder"),
        (("-i", "clip.mov", "-o", "folder"), "--output folder is a folder; name a file in it, or write / at its end"),
    ],
)
async def test_a_file_that_is_not_there_is_named_before_any_work(here: Path, argv: tuple[str, ...], words: str) -> None:
    (here / "clip.mov").write_bytes(b"not read")
    (here / "folder").mkdir()
    with pytest.raises(CliError) as refused:
        await result("image", *argv)
    assert str(refused.value) == words


def test_a_file_that_may_not_be_read_ends_with_a_sentence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A child has no rights of root, so that root gets there what other users get at once."""
    (here / "private.mov").write_bytes(b"secret")
    (here / "private.mov").chmod(0)
    assert main(["image", "-i", "private.mov", "--tty"]) == 1
    printed = capsys.readouterr()
    assert "Permission denied" in printed.out + printed.err


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder that root may not write to")
@pytest.mark.parametrize("name", ["n" * 300 + ".webp", "/proc/out.webp"])
async def test_an_output_that_cannot_be_written_ends_with_a_sentence(here: Path, material: Material, name: str) -> None:
    shutil.copy(material.flat(), here / "clip.mp4")
    with pytest.raises(CliError, match=f"^--output {name} cannot be written: "):
        await result("image", "-i", "clip.mp4", "-o", name, "--width", "32")

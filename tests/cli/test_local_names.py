"""Whatever a file of one's own is called, the shell works on that file: names are no options and no addresses."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from chassis.core import logs
from cli.args import parser
from cli.jobs import checked, local_output, options
from cli.local import run_here
from cli.show import open_show
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
    # Logs are the process's, and this process is the tests'.
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    return tmp_path


async def result(*argv: str) -> dict[str, Any]:
    """What the command says at its end."""
    arguments = parser().parse_args([*argv, "--json"])
    said = io.StringIO()
    with open_show(arguments, said, io.StringIO()) as show:
        await run_here(arguments, checked(arguments.kind, options(arguments)), show)
    last: dict[str, Any] = json.loads(said.getvalue().splitlines()[-1])
    return last


@pytest.mark.parametrize("name", NAMES)
async def test_a_film_of_any_name_becomes_a_video(here: Path, material: Material, name: str) -> None:
    shutil.copy(material.flat(), here / name)
    said = await result("video", "-i", name, "-o", "out.webm", "--width", "32", "--end", "0.2")
    assert said["status"] == "succeeded", said["error"]
    assert (said["input"], said["output"]["width"]) == (name, 32)
    assert (here / "out.webm").is_file()


@pytest.mark.parametrize("name", NAMES)
async def test_a_photo_of_any_name_becomes_an_image(here: Path, material: Material, name: str) -> None:
    shutil.copy(material.alpha(), here / name)
    said = await result("image", "-i", name, "-o", "out.webp", "--width", "32")
    assert said["status"] == "succeeded", said["error"]
    assert said["output"]["width"] == 32


@pytest.mark.parametrize("name", NAMES[:4])
async def test_an_output_may_have_any_name_too(here: Path, material: Material, name: str) -> None:
    shutil.copy(material.flat(), here / "clip.mp4")
    (here / name).mkdir()
    said = await result("image", "-i", "clip.mp4", "-o", f"{name}/{name}.png", "--width", "32")
    assert said["status"] == "succeeded", said["error"]
    assert [path.name for path in (here / name).iterdir()] == [f"{name}.png"]


@pytest.mark.parametrize("given", [("-i", "./-i.mp4"), ("--input=-i.mp4",), ("-i-i.mp4",)])
async def test_a_name_that_looks_like_an_option_is_given_as_anywhere(
    here: Path, material: Material, given: tuple[str, ...]
) -> None:
    shutil.copy(material.flat(), here / "-i.mp4")
    said = await result("image", *given)
    assert said["status"] == "succeeded", said["error"]
    assert (here / "-i.jpeg").is_file() or (here / "-i.jpg").is_file()


def test_the_default_output_is_never_the_input(here: Path) -> None:
    for name in ("-i.mp4", "http:x.mp4", "a b%20.mp4", "new\nline.mp4"):
        (here / name).touch()
        target = local_output(parser().parse_args(["video", f"--input={name}"]), "mp4")
        assert target.name == f"{Path(name).stem}-video.mp4"

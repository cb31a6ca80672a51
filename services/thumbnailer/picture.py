"""The use case: one picture from a source, checked and moved into place. Used by the worker and by the shell."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chassis.adapters.sandbox.errors import ChildDied, ChildTimedOut
from media.faults import MediaFault
from media.formats import FORMATS
from media.info import MediaInfo
from media.tools import Tools
from schemas.options import ImageOptions
from services.thumbnailer import errors, frame
from services.thumbnailer.plan import FramePlan, PicturePlan, plan
from services.thumbnailer.quality import OPAQUE


@dataclass(frozen=True)
class Picture:
    """What was made: facts of the file, and its `palette` where that was asked for."""

    info: MediaInfo
    placeholder: str | None = None
    """A tiny webp as a `data:` address."""
    background: str | None = None
    """The dominant colour, `#RRGGBB`."""


class WrongOutput(Exception):
    """What was written is not what was planned. Our fault, never the customer's."""


async def make(
    source: Path,
    info: MediaInfo,
    options: ImageOptions,
    dest: Path,
    tools: Tools,
    on_progress: Callable[[float], None],
    palette: bool = False,
) -> Picture:
    """An image at `dest`, made from `source`, whose facts are `info`.

    `dest` appears whole and checked, or not at all. Raises `MediaFault` where the input is to blame.
    """
    todo = plan(options, info)
    # Beside `dest`, so that the last step is a rename; in a folder of its own, which is all the children may write to.
    with TemporaryDirectory(prefix=".picture-", dir=dest.parent) as scratch:
        made = Path(scratch) / f"picture.{FORMATS[todo.format].extension}"
        answer = await _encode(source, info, todo, made, tools, on_progress, palette)
        result = await _checked(made, todo, tools)
        made.replace(dest)
    on_progress(1.0)
    return Picture(result, answer.get("placeholder"), answer.get("background"))


async def _encode(
    source: Path,
    info: MediaInfo,
    todo: PicturePlan,
    made: Path,
    tools: Tools,
    on_progress: Callable[[float], None],
    palette: bool,
) -> dict[str, Any]:
    args: dict[str, Any] = {
        "dest": str(made),
        "width": todo.width,
        "height": todo.height,
        "format": todo.format,
        "save": todo.save,
        "opaque": todo.format in OPAQUE,
        "palette": palette,
    }
    if isinstance(todo, FramePlan):
        pixels = made.with_name("frame.rgb")
        await frame.grab(source, info, todo, pixels, tools)
        on_progress(0.5)
        function, read = "wrap", pixels
        args["pixels"] = str(pixels)
    else:
        function, read = "convert", source
        # Under a name of ours: libvips takes a bracket at the end of a file's name for options.
        link = made.with_name("source")
        link.symlink_to(source.absolute())
        args["source"] = str(link)
    limits = tools.image_limits.may(read=(read,), write=(made.parent,))
    try:
        answer: dict[str, Any] = await tools.warm.call(f"services.thumbnailer.vips:{function}", args, limits)
    except ChildTimedOut as error:
        raise errors.too_slow(str(error)) from error
    except ChildDied as error:
        # Killed is killed by us or by the system, for lack of memory perhaps; other signals are a decoder's own end.
        if error.signal in (0, signal.SIGKILL):
            raise
        raise MediaFault("input_unreadable", detail=str(error)) from error
    return answer


async def _checked(made: Path, todo: PicturePlan, tools: Tools) -> MediaInfo:
    """The facts of a finished file, read back from it."""
    try:
        info = await tools.prober.probe(made)
    except MediaFault as fault:
        raise WrongOutput(f"the finished {todo.format} cannot be read back: {fault.message}") from fault
    if (info.width, info.height, info.format) != (todo.width, todo.height, todo.format):
        found = f"{info.format} of {info.width}x{info.height}"
        raise WrongOutput(f"planned a {todo.format} of {todo.width}x{todo.height}, found a {found}")
    return info

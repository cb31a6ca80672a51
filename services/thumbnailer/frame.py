"""One frame of a video as bare pixels, by ffmpeg in its sandbox."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from media.info import MediaInfo
from media.tools import Tools
from services.thumbnailer import argv, errors
from services.thumbnailer.plan import FramePlan

WALL = timedelta(minutes=15)
"""For one frame. Films with a single key frame exist (screen recordings): everything up to the frame is decoded then,
which can take minutes without a sign of life."""


async def grab(source: Path, info: MediaInfo, plan: FramePlan, pixels: Path, tools: Tools) -> None:
    """Writes the frame to `pixels`: RGB, 8 bits, exactly the plan's size.

    It is the first frame at or after `plan.start`, or the last one of the file where that is a moment before.
    Raises `MediaFault` where there is none.
    """
    limits = replace(tools.limits, wall=WALL, stall=None).may(read=(source,), write=(pixels.parent,))
    for command in (argv.frame, argv.last_frame):
        line = command(source, info.video, plan, pixels, tone_maps=tools.ffmpeg.tone_maps)
        await tools.ffmpeg.run(line, limits)
        if pixels.exists() and pixels.stat().st_size == plan.width * plan.height * 3:
            return
    if plan.start == 0:
        raise errors.undecodable(plan.start)
    # Sound may outlast the picture; a silent video that has no picture there was cut off.
    raise errors.start_past_picture(plan.start) if info.audio else errors.ends_early(plan.start)

"""The customer's faults that a transcoder can find, a sentence each; and the one that is ours.

The faults are `media.faults.MediaFault`s: a published code and words that can be shown to the uploader.
"""

from datetime import timedelta

from media.faults import MediaFault
from media.info import MediaInfo


class OutputWrong(Exception):
    """ffmpeg said that all went well, but what it wrote is not what was asked. Ours, and worth another attempt."""


def start_out_of_range(start: float, duration: float) -> MediaFault:
    return MediaFault("start_out_of_range", f"start is at {start:g} s, but the input is only {duration:.2f} s long.")


def no_picture(info: MediaInfo) -> MediaFault:
    what = "an image" if info.kind == "image" else "sound without a picture"
    return MediaFault("input_kind_mismatch", f"A video job needs a video, but the input is {what} ({info.format}).")


def too_wide(width: int, height: int, allowed: int) -> MediaFault:
    return MediaFault(
        "output_too_large",
        f"At the input's aspect the output would be {width}x{height} pixels; at most {allowed} along an edge fit.",
    )


def too_long(allowed: timedelta) -> MediaFault:
    hours = allowed.total_seconds() / 3600
    return MediaFault("input_limits_exceeded", f"The input could not be encoded within {hours:g} hours.")


def ended_early(seconds: float, expected: float) -> MediaFault:
    return MediaFault(
        "input_truncated", f"Only {seconds:.2f} s of the {expected:.2f} s that the input says it has could be read."
    )

"""The customer's faults that a transcoder can find: each a published code and a sentence for the uploader."""

from media.faults import MediaFault
from media.info import MediaInfo


def start_out_of_range(start: float, duration: float) -> MediaFault:
    return MediaFault("start_out_of_range", f"start is at {start:g} s, but the input is only {duration:.2f} s long.")


def start_after_picture(start: float, end: float | None) -> MediaFault:
    ends = f" ends at {end:.2f} s" if end is not None else " has ended before"
    return MediaFault("start_out_of_range", f"start is at {start:g} s, but the input's picture{ends}.")


def sound_unsupported(codec: str) -> MediaFault:
    return MediaFault("input_codec_unsupported", f"The sound is in {codec}, a codec that is not supported.")


def sound_undecodable(codec: str) -> MediaFault:
    return MediaFault("input_damaged", f"The input has sound ({codec}), but none of it can be decoded.")


def no_video(info: MediaInfo) -> MediaFault:
    what = "an image" if info.kind == "image" else "sound without a picture"
    return MediaFault("input_kind_mismatch", f"A video job needs a video, but the input is {what} ({info.format}).")


def side_too_long(width: int, height: int, allowed: int) -> MediaFault:
    return MediaFault(
        "output_too_large",
        f"At the input's aspect the output would be {width}x{height} pixels; at most {allowed} along an edge fit.",
    )


def too_much_work(cpu_seconds: int) -> MediaFault:
    allowed = f"{cpu_seconds / 3600:g} hours" if cpu_seconds >= 3600 else f"{cpu_seconds} seconds"
    return MediaFault("input_limits_exceeded", f"The input takes more than {allowed} of processor time to encode.")


def nothing_decoded() -> MediaFault:
    return MediaFault("input_damaged", "Not one frame of the input could be decoded.")


def ended_early(seconds: float, expected: float) -> MediaFault:
    return MediaFault(
        "input_truncated", f"Only {seconds:.2f} s of the {expected:.2f} s that the input says it has could be read."
    )

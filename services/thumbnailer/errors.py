"""The customer's faults that only images have: each a published code and a sentence for the uploader."""

from media.faults import MediaFault


def no_picture(kind: str) -> MediaFault:
    return MediaFault("input_kind_mismatch", f"The input is {kind} without a picture, so there is no image in it.")


def start_in_still(start: float) -> MediaFault:
    return MediaFault("start_out_of_range", f"The input is an image: it has no picture at {start:g} s.")


def start_past_end(start: float, duration: float) -> MediaFault:
    return MediaFault("start_out_of_range", f"start is {start:g} s, but the video ends at {duration:.6g} s.")


def start_past_video(start: float) -> MediaFault:
    return MediaFault("start_out_of_range", f"The video's picture ends before {start:g} s; only its sound goes on.")


def ended_early(start: float) -> MediaFault:
    return MediaFault("input_truncated", f"There is no picture at {start:g} s, though the file announces one there.")


def side_too_long(width: int, height: int, format: str, longest: int) -> MediaFault:
    return MediaFault(
        "output_too_large",
        f"The image would be {width}x{height} pixels; the longest side of {format} may be {longest}. "
        "Ask for a smaller width or height.",
    )


def too_many_pixels(width: int, height: int, most: int) -> MediaFault:
    return MediaFault(
        "output_too_large",
        f"The image would be {width}x{height} pixels, which are more than {most}. Ask for a smaller width or height.",
    )


def undecodable(start: float) -> MediaFault:
    return MediaFault("input_damaged", f"The video's picture at {start:g} s cannot be decoded.")


def too_much_work(detail: str) -> MediaFault:
    return MediaFault("input_limits_exceeded", "The image takes too much processor time to be made.", detail=detail)

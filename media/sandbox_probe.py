"""Runs in the sandbox only: opens one untrusted file and returns its facts as plain JSON. Does not check limits.

`probe` raises MediaFault for a file that cannot be read; the fork server sends it to the caller as kind and message.
"""

from pathlib import Path
from typing import Any

import av.error

from media import refused_images, sandbox_image
from media.faults import MediaFault
from media.image_signatures import HEAD_BYTES, is_image
from media.libvips import pyvips
from media.sandbox_streams import probe_streams
from media.truncation import is_fragmented, is_truncated


def probe(path: str) -> dict[str, Any]:
    """The facts of the file at `path`: the fields of `MediaInfo` except those that are computed from others."""
    file = Path(path)
    size = file.stat().st_size
    if not size:
        raise MediaFault("input_empty")
    with file.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
        truncated = is_truncated(opened, size)
        fragmented = is_fragmented(opened, size)
        refused = refused_images.name_of(head, opened)
    if refused is not None:
        message = f"The picture is in {refused}, a format that is not supported."
        raise MediaFault("input_codec_unsupported", message)
    try:
        facts = sandbox_image.facts(path, head) if is_image(head) else probe_streams(path, head, fragmented=fragmented)
    except (av.error.FFmpegError, pyvips.Error) as error:
        raise MediaFault("input_truncated" if truncated else "input_unreadable") from error
    except MediaFault as error:
        if truncated and error.kind in ("input_unreadable", "input_damaged"):
            raise MediaFault("input_truncated") from error
        raise
    if truncated:
        raise MediaFault("input_truncated")
    return {"filesize": size, **facts}

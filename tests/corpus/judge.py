"""Compares what came out with what a row says (the numbers), and with what is true of every output of ours."""

import re
from bisect import bisect_right
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyvips

from media.formats import FORMATS
from schemas.files import Output
from tests.corpus import colours, decoded
from tests.corpus.case import Check, Film, Item, Patch, Refused, Sound, Still
from tests.corpus.product import Result
from tests.support.iso_media import top_level_boxes

_SYNC = 0.020
_START = 0.05
"""How far a whole file may be shifted: by the padding of a codec of sound, where the container cannot cut it off."""
_TIME = 0.002
_TAGS_OF_CONTAINERS = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "handler_name", "vendor_id", "language"}
    | {"DURATION", "ENCODER", "alpha_mode", "ALPHA_MODE"}
)

_FOREIGN = re.compile(
    r"vips|ffmpeg|libav|av_|pyav|(?:png|jpeg|webp|heif|gif|tiff)load|plugin|0x|errno|/tmp|\\bat line\\b", re.I
)
"""What only a library or a path of ours would say to a customer."""


def problems(check: Check, result: Result) -> list[str]:
    """What is wrong with the end of a job; empty if nothing is."""
    if isinstance(check, Refused):
        return _wrong_fault(check, result)
    if result.output is None or result.path is None:
        return [f"failed with {result.fault}"]
    found = [warning.kind for warning in result.output.warnings]
    wrong = [] if found == list(check.warnings) else [f"warnings {found}, not {list(check.warnings)}"]
    match check:
        case Film():
            return wrong + _wrong_film(check, result.path)
        case Still():
            return wrong + _wrong_still(check, result.path)
        case Item():
            return wrong + _wrong_item(check, result.path, result.output)
    raise AssertionError(f"nothing is known about {check}")


def _wrong_fault(check: Refused, result: Result) -> list[str]:
    if result.fault is None:
        return [f"succeeded, instead of {check.code}"]
    wrong = [] if result.fault.kind == check.code else [f"{result.fault}, not {check.code}"]
    if foreign := _FOREIGN.findall(result.fault.message):
        wrong.append(f"{foreign} in {result.fault.message!r}")
    if check.words not in result.fault.message:
        wrong.append(f"{check.words!r} is not in {result.fault.message!r}")
    return wrong


def _wrong_film(check: Film, path: Path) -> list[str]:
    wrong = list(_wrong_container(path, check))
    times = decoded.frame_times(path)
    if any(later <= earlier for earlier, later in pairwise(times)):
        wrong.append(f"times do not grow: {times}")
    if times and times[0] > 0.05 and not check.times:
        wrong.append(f"the first frame is at {times[0]:.3f} s")
    if check.frames is not None and not _fits(len(times), check.frames):
        wrong.append(f"{len(times)} frames, not {check.frames}")
    for number, (time, expected) in enumerate(zip(times, check.times, strict=False)):
        if abs(time - expected) > _TIME:
            wrong.append(f"frame {number} is at {time:.4f} s, not {expected:.4f}")
    seconds = decoded.duration_of(path)
    if check.seconds is not None and abs(seconds - check.seconds) > check.seconds_within:
        wrong.append(f"{seconds:.3f} s, not {check.seconds}")
    wrong += _wrong_patches(check.patches, path, times)
    picture = _onset(path) if check.onset is not None else None
    if check.onset is not None and (picture is None or abs(picture - check.onset) > _START):
        wrong.append(f"the picture appears at {picture}, not {check.onset}")
    if check.sound is not None:
        wrong += _wrong_sound(check.sound, path, picture)
    return wrong


def _fits(count: int, expected: int | range) -> bool:
    return count in expected if isinstance(expected, range) else count == expected


def _wrong_container(path: Path, check: Film) -> list[str]:
    wrong = []
    with decoded.opened(path) as container:
        video, sounds = container.streams.video[0], container.streams.audio
        coded = video.codec_context
        if len(container.streams) != 1 + len(sounds) or len(sounds) != (check.sound is not None):
            wrong.append(f"streams {[stream.type for stream in container.streams]}")
        if check.size is not None and (coded.width, coded.height) != check.size:
            wrong.append(f"{coded.width}x{coded.height}, not {check.size}")
        if video.sample_aspect_ratio not in (None, 0, 1):
            wrong.append(f"sample aspect {video.sample_aspect_ratio}")
        if coded.pix_fmt not in (("yuv420p", "yuv444p12le", "yuva444p12le") if check.alpha else ("yuv420p",)):
            wrong.append(f"pixels are {coded.pix_fmt}")
        if check.fps is not None and abs(float(video.average_rate) - check.fps) > 0.01:
            wrong.append(f"{float(video.average_rate):.3f} frames per second, not {check.fps}")
        tags = {**container.metadata, **video.metadata, **(sounds[0].metadata if sounds else {})}
        if private := sorted(tags.keys() - _TAGS_OF_CONTAINERS):
            wrong.append(f"tags {private}")
        if container.chapters():
            wrong.append("it has chapters")
    format = check.options.get("format", "mp4")
    if format != "webm":
        boxes = top_level_boxes(path)
        if boxes.index("moov") > boxes.index("mdat"):
            wrong.append(f"the index is behind the data: {boxes}")
    return wrong


def _wrong_patches(patches: tuple[Patch, ...], path: Path, times: list[float]) -> list[str]:
    wrong = []
    by_frame: dict[int, list[Patch]] = defaultdict(list)
    for patch in patches:
        by_frame[max(bisect_right(times, patch.at + _TIME) - 1, 0)].append(patch)
    with decoded.opened(path) as container:
        for number, frame in enumerate(container.decode(video=0)):
            for patch in by_frame[number]:
                if patch.alpha is not None:
                    alpha = decoded.alpha_at(path, patch.x, patch.y, patch.at)
                    if abs(alpha - patch.alpha) > patch.within:
                        wrong.append(f"alpha {alpha} at {patch.x, patch.y}, not {patch.alpha}")
                if patch.alpha != 0:
                    wrong += _differs(patch, colours.shown(frame, patch.x, patch.y))
    return wrong


def _differs(patch: Patch, found: tuple[float, ...]) -> list[str]:
    if all(abs(one - other) <= patch.within + 0.5 for one, other in zip(found, patch.rgb, strict=True)):
        return []
    values = tuple(round(value) for value in found)
    return [f"{values} at ({patch.x:g}, {patch.y:g}) {patch.at:g} s, not {patch.rgb}"]


def _onset(path: Path) -> float | None:
    with decoded.opened(path) as container:
        for frame in container.decode(video=0):
            if sum(colours.shown(frame, 0.75, 0.75)) > 200:
                return float(frame.time)
    return None


def _wrong_sound(sound: Sound, path: Path, picture: float | None) -> list[str]:
    with decoded.opened(path) as container:
        if not container.streams.audio:
            return []  # reported with the streams
    samples = decoded.samples_of(path)
    wrong = []
    if len(samples.channels) != sound.channels:
        return [f"{len(samples.channels)} channels, not {sound.channels}"]
    onset = samples.onset()
    if sound.onset is not None:
        expected = picture if picture is not None else sound.onset
        if onset is None or abs(onset - expected) > _SYNC:
            wrong.append(f"the sound begins at {onset}, not {expected:.3f}")
    begin = (onset or 0.0) + 0.1
    for channel, level in enumerate(sound.level):
        found = samples.level(channel, begin, min(begin + 0.5, samples.end - 0.1))
        if level is None and found > -50:
            wrong.append(f"channel {channel} has {found:.1f} dB, and should be silent")
        if level is not None and abs(found - level) > sound.within:
            wrong.append(f"channel {channel} has {found:.1f} dB, not {level}")
    return wrong


def _wrong_still(check: Still, path: Path) -> list[str]:
    data = path.read_bytes()
    image = pyvips.Image.new_from_buffer(data, "")
    fields = set(image.get_fields())
    wrong = []
    loader = str(image.get("vips-loader")).removesuffix("load_buffer").removesuffix("load")
    if loader != {"avif": "heif"}.get(check.format, check.format):
        wrong.append(f"it is {loader}, not {check.format}")
    if check.size is not None and (image.width, image.height) != check.size:
        wrong.append(f"{image.width}x{image.height}, not {check.size}")
    if image.format != "uchar" or image.interpretation not in ("srgb", "b-w"):
        wrong.append(f"pixels are {image.format} {image.interpretation}")
    if private := fields & {"exif-data", "xmp-data", "iptc-data", "icc-profile-data"}:
        wrong.append(f"it has {sorted(private)}")
    if check.alpha != bool(image.hasalpha()):
        wrong.append("it has alpha" if image.hasalpha() else "it has no alpha")
    return wrong + _wrong_pixels(check.patches, image)


def _wrong_pixels(patches: tuple[Patch, ...], image: Any) -> list[str]:
    pixels = image.colourspace("srgb")
    wrong = []
    for patch in patches:
        left, top = (max(int(place * side) - 2, 0) for place, side in ((patch.x, image.width), (patch.y, image.height)))
        area = pixels.crop(left, top, min(5, image.width - left), min(5, image.height - top))
        found = tuple(area[band].avg() for band in range(area.bands))
        if patch.alpha is not None and area.bands == 4:
            if abs(found[3] - patch.alpha) > patch.within:
                wrong.append(f"alpha {found[3]:.0f} at ({patch.x:g}, {patch.y:g}), not {patch.alpha}")
            if patch.alpha == 0:
                continue
        wrong += _differs(patch, found[:3])
    return wrong


def _wrong_item(check: Item, path: Path, output: Output) -> list[str]:
    wrong = []
    if check.format is not None and output.format != check.format:
        wrong.append(f"a poster in {output.format}, not {check.format}")
    if output.format not in ("jpeg", "webp", "png") or output.format not in FORMATS:
        wrong.append(f"a poster in {output.format}")
    image = pyvips.Image.new_from_buffer(path.read_bytes(), "")
    if check.size is not None and (image.width, image.height) != check.size:
        wrong.append(f"poster {image.width}x{image.height}, not {check.size}")
    wrong += _wrong_pixels(check.patches, image)
    if not (output.placeholder or "").startswith("data:image/webp;base64,"):
        wrong.append(f"placeholder {output.placeholder!r}")
    if output.background is None:
        return [*wrong, "no background"]
    if check.background is not None:
        found = tuple(bytes.fromhex(output.background[1:]))
        if any(abs(one - other) > 4 for one, other in zip(found, check.background, strict=True)):
            wrong.append(f"background {found}, not {check.background}")
    return wrong

"""What a finished film shows and sounds like, found by decoding it."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import av
import imageio_ffmpeg

Pixel = tuple[int, int, int]


@dataclass(frozen=True)
class Picture:
    """`times` are seconds at which frames begin, `end` that at which the last one has been shown."""

    times: list[float]
    end: float
    frames: list[av.VideoFrame]

    def pixel(self, second: float, x: int, y: int) -> Pixel:
        """A pixel of the frame that is shown at `second`."""
        shown = [frame for time, frame in zip(self.times, self.frames, strict=True) if time <= second + 1e-6][-1]
        plane = shown.to_rgb().planes[0]
        at = y * plane.line_size + 3 * x
        red, green, blue = bytes(plane)[at : at + 3]
        return red, green, blue


def picture_of(path: Path) -> Picture:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        tick = float(stream.time_base or 1)
        frames = sorted(container.decode(stream), key=lambda frame: frame.pts or 0)
        times = [round(float((frame.pts or 0) * tick), 3) for frame in frames]
        length = stream.duration * tick if stream.duration else float(container.duration or 0) / av.time_base
    return Picture(times, round(float(stream.start_time or 0) * tick + length, 3), frames)


def loudness_of(path: Path) -> float:
    """The mean volume of the sound in dB."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-i", str(path)]
    command += ["-map", "0:a", "-af", "volumedetect", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stderr
    found = re.search(r"mean_volume: (-?[\d.]+) dB", said)
    assert found, said
    return float(found[1])


def rgba_of(path: Path, decoder: str, width: int, points: list[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Pixels of the first frame with their transparency, which only some decoders read."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-c:v", decoder, "-i", str(path)]
    command += ["-frames:v", "1", "-pix_fmt", "rgba", "-f", "rawvideo", "-"]
    raw = subprocess.run(command, capture_output=True, timeout=120, check=True).stdout
    return [tuple(raw[4 * (y * width + x) : 4 * (y * width + x) + 4]) for x, y in points]

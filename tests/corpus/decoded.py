"""What is in an output: its frames with their times, the samples of its sound, its streams and tags."""

import math
import subprocess
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.audio.resampler import AudioResampler

from media.ffmpeg import binary


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file, opened by PyAV."""
    with av.open(f"file:{path}") as container:
        yield container


def frame_times(path: Path) -> list[float]:
    """The times of all frames in seconds, counted from 0 of the file."""
    with opened(path) as container:
        return [frame.time for frame in container.decode(video=0)]


def duration_of(path: Path) -> float:
    """The time at which the last packet of any stream ends, in seconds."""
    with opened(path) as container:
        ends = [
            float((packet.pts + (packet.duration or 0)) * packet.time_base)
            for packet in container.demux()
            if packet.pts is not None
        ]
    return max(ends)


@dataclass(frozen=True)
class Samples:
    """The samples of a sound track: one array for each channel, the first at `start` seconds."""

    rate: int
    start: float
    channels: "tuple[array[float], ...]"

    def onset(self) -> float | None:
        """When it gets loud: the first sample above half the peak, in seconds."""
        peak = max((abs(value) for channel in self.channels for value in channel), default=0.0)
        if peak < 0.003:
            return None
        at = min(
            next((index for index, value in enumerate(channel) if abs(value) > peak / 2), len(channel))
            for channel in self.channels
        )
        return self.start + at / self.rate

    def level(self, channel: int, begin: float, end: float) -> float:
        """The RMS between two times, in dB of full scale; -120 for silence."""
        first, last = (max(round((time - self.start) * self.rate), 0) for time in (begin, end))
        part = self.channels[channel][first:last]
        power = sum(value * value for value in part) / len(part) if part else 0.0
        return 10 * math.log10(power) if power > 1e-12 else -120.0

    @property
    def end(self) -> float:
        return self.start + len(self.channels[0]) / self.rate


def samples_of(path: Path) -> Samples:
    """The first sound track, with silence where its timestamps leave a gap."""
    with opened(path) as container:
        stream = container.streams.audio[0]
        rate = stream.codec_context.sample_rate
        resampler = AudioResampler(format="fltp", layout=stream.codec_context.layout, rate=rate)
        channels: list[array[float]] = [array("f") for _ in range(stream.codec_context.layout.nb_channels)]
        start: float | None = None
        for frame in container.decode(stream):
            if start is None:
                start = float(frame.time)
            gap = round((float(frame.time) - start) * rate) - len(channels[0])
            for resampled in resampler.resample(frame):
                for channel, plane in zip(channels, resampled.planes, strict=True):
                    if gap > rate // 100:
                        channel.extend(array("f", bytes(4 * gap)))
                    channel.frombytes(bytes(plane)[: 4 * resampled.samples])
    return Samples(rate, start or 0.0, tuple(channels))


def alpha_at(path: Path, x: float, y: float, at: float) -> int:
    """The opacity of a point of a film, from 0 to 255: by the decoder that reads alpha of VP9."""
    with opened(path) as container:
        stream = container.streams.video[0]
        width, height = int(stream.codec_context.width), int(stream.codec_context.height)
        decoder = ("-c:v", "libvpx-vp9") if stream.codec_context.name in ("vp9", "libvpx-vp9") else ()
    command = [binary(), "-v", "error", *decoder, "-i", path, "-ss", at, "-frames:v", 1, "-f", "rawvideo"]
    pixels: bytes = subprocess.run(
        [*map(str, command), "-pix_fmt", "rgba", "-"], capture_output=True, check=True
    ).stdout
    column, row = int(x * width), int(y * height)
    return pixels[(row * width + column) * 4 + 3]

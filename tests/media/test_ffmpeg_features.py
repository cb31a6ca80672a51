"""What is asked of an ffmpeg program, and which programs are refused with which sentence."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from chassis.core.settings import StartRefused
from media import requirements
from media.ffmpeg import binary
from media.ffmpeg_features import RunProgram, inspect, parse
from tests.media.ffmpeg_outputs import answering, ending

PATH = Path("/opt/ffmpeg")
WHAT_TO_DO = "Set FFMPEG_BINARY to a newer, complete ffmpeg, or unset it for the one of the package imageio-ffmpeg."
SERVICES = Path(__file__).parents[1] / "services"
OPTIONAL_FILTERS = {"zscale", "tonemap"}

# As ffmpeg 5.1 prints them, shortened.
VERSION_5 = (
    "ffmpeg version 5.1.9-0+deb12u1 Copyright (c)\nlibavutil      57. 28.100\nlibavcodec     59. 37.100 / 59. 37.100\n"
)
CODECS_5 = """Codecs:
 D..... = Decoding supported
 -------
 D.VI.S 012v                 Uncompressed 4:2:2 10-bit
 .EVIL. a64_multi            Multicolor charset for Commodore 64 (encoders: a64multi )
 DEV.LS h264                 H.264 / AVC (decoders: h264 h264_qsv ) (encoders: libx264 libx264rgb )
 DEA.L. aac                  AAC (Advanced Audio Coding) (decoders: aac aac_fixed )
 DEVI.S rawvideo             raw video
"""
FORMATS_5 = """File formats:
 D. = Demuxing supported
 --
  E mov             QuickTime / MOV
 D  mov,mp4,m4a,3gp,3g2,mj2 QuickTime / MOV
 DE rawvideo        raw video
"""
FILTERS_5 = """Filters:
  T.. = Timeline support
  | = Source or sink filter
 ... abench            A->A       Benchmark part of a filtergraph.
 TSC bwdif             V->V       Deinterlace the input image.
 ..C scale             V->V       Scale the input video size.
 ..C scale2ref         VV->VV     Scale.
 ... concat            N->N       Concatenate.
"""


def test_the_lists_of_ffmpeg_are_parsed() -> None:
    features = parse(VERSION_5, CODECS_5, FORMATS_5, FILTERS_5)
    assert (features.version, features.libavcodec) == ("5.1.9-0+deb12u1", (59, 37, 100))
    assert features.encoders == {"a64multi", "libx264", "libx264rgb", "aac", "rawvideo"}
    assert features.decoders == {"012v", "h264", "h264_qsv", "aac", "aac_fixed", "rawvideo"}
    assert features.muxers == {"mov", "rawvideo"}
    assert features.demuxers == {"mov", "mp4", "m4a", "3gp", "3g2", "mj2", "rawvideo"}
    assert features.filters == {"abench", "bwdif", "scale", "scale2ref", "concat"}


async def test_the_ffmpeg_that_is_shipped_has_everything() -> None:
    features = await inspect(binary(), {})
    assert features.filters >= OPTIONAL_FILTERS


@pytest.mark.parametrize("kind", ["encoders", "decoders", "muxers", "demuxers", "filters"])
def test_each_name_that_is_needed_is_missed(kind: str) -> None:
    everything = requirements.FfmpegFeatures(
        version="9",
        libavcodec=(63, 1, 102),
        encoders=frozenset(requirements.ENCODERS),
        decoders=frozenset(name for names in requirements.DECODERS for name in names.split("|")),
        muxers=frozenset(requirements.MUXERS),
        demuxers=frozenset(requirements.DEMUXERS),
        filters=frozenset(requirements.FILTERS),
    )
    assert requirements.ffmpeg_problem(Path("/f"), everything) is None
    for names in getattr(requirements, kind.upper()):
        without = getattr(everything, kind) - set(names.split("|"))
        problem = requirements.ffmpeg_problem(Path("/f"), everything.__class__(**{**vars(everything), kind: without}))
        assert problem == f"ffmpeg 9 (/f) was built without the {kind[:-1]} {names.replace('|', ' or ')}. {WHAT_TO_DO}"


async def test_an_ffmpeg_without_encoders_is_refused_and_all_of_them_are_named() -> None:
    run = answering(lambda output: re.sub(r"\b(libx264|libopus|tonemap|bwdif)\b", "other", output))
    with pytest.raises(StartRefused) as refused:
        await inspect(PATH, {}, run)
    sentence = str(refused.value)
    assert f"({PATH}) was built without the encoders libx264, libopus; the filter bwdif." in sentence
    assert sentence.endswith(WHAT_TO_DO)


async def test_an_older_ffmpeg_is_refused_also_if_its_version_is_no_number() -> None:
    def older(output: str) -> str:
        output = re.sub(r"ffmpeg version \S+", "ffmpeg version N-110000-g1234567", output)
        return re.sub(r"libavcodec .*", "libavcodec     60.  3.100 / 60.  3.100", output)

    with pytest.raises(StartRefused) as refused:
        await inspect(PATH, {}, answering(older))
    needed = "6.1 or newer is needed"
    assert str(refused.value) == f"ffmpeg N-110000-g1234567 ({PATH}) is too old: {needed}. {WHAT_TO_DO}"


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (ending(0), "does not answer as ffmpeg does"),
        (ending(0, "hello"), "does not answer as ffmpeg does"),
        (ending(127, stderr="usage:\nno such library"), "cannot be run as ffmpeg: no such library"),
        (ending(3), "cannot be run as ffmpeg: it exited with status 3"),
    ],
)
async def test_another_program_is_refused(run: RunProgram, reason: str) -> None:
    with pytest.raises(StartRefused) as refused:
        await inspect(PATH, {}, run)
    assert str(refused.value) == f"{PATH} {reason}. {WHAT_TO_DO}"


async def test_a_program_that_is_no_ffmpeg_is_refused() -> None:
    path = Path("/bin/true").resolve()
    with pytest.raises(StartRefused) as refused:
        await inspect(path, {})
    assert str(refused.value) == f"{path} does not answer as ffmpeg does. {WHAT_TO_DO}"


async def test_a_missing_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="cannot be run as ffmpeg") as refused:
        await inspect(tmp_path / "ffmpeg", {})
    assert WHAT_TO_DO in str(refused.value)


@pytest.mark.parametrize("service", ["transcoder", "thumbnailer"])
def test_everything_that_our_command_lines_use_is_required(service: str) -> None:
    used: dict[str, set[str]] = {"c:v": set(), "c:a": set(), "f": set(), "filters": set()}
    for argv in json.loads((SERVICES / service / "argv.json").read_text()).values():
        for flag, value in pairwise(argv):
            name = {"-vcodec": "c:v", "-acodec": "c:a"}.get(flag, flag.removeprefix("-"))
            if name == "filter_complex":
                used["filters"] |= set(
                    re.findall(r"(?:^|[\];]|(?<!\\),)([a-z]\w*)=?", re.sub(r"\[[^\]]*\]", "]", value))
                )
            elif flag.startswith("-") and name in used:
                used[name].add(value)
    assert used["f"] and used["filters"]
    assert used["c:v"] | used["c:a"] <= set(requirements.ENCODERS)
    assert used["f"] <= set(requirements.MUXERS)
    assert used["filters"] - OPTIONAL_FILTERS <= set(requirements.FILTERS)

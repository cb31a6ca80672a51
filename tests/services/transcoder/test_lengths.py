"""How long outputs are, and where they are cut: of films whose headers, tracks or frames make that hard to tell."""

import struct

import pytest

from media.faults import MediaFault
from media.tools import Tools
from tests.services.transcoder.conftest import EncodeFilm
from tests.support.decoded import loudness_of, picture_of
from tests.support.films import Films, picture, tone

X264 = ("-c:v", "libx264", "-preset", "ultrafast")
AAC = ("-c:a", "aac")


@pytest.mark.parametrize("format", ["mp4", "webm", "mov"])
@pytest.mark.parametrize("reordered", [False, True])
async def test_the_last_frame_keeps_its_own_duration(
    films: Films, encode_film: EncodeFilm, format: str, reordered: bool
) -> None:
    made, path = await encode_film(films.static_tail(reordered=reordered), format=format)
    shown = picture_of(path)
    assert shown.times == [0.0, 0.5, 1.0]
    assert (made.info.duration, shown.end) == pytest.approx((10, 10), abs=0.01)


async def test_a_cut_within_the_last_frame_shows_it(films: Films, encode_film: EncodeFilm) -> None:
    source = films.static_tail()
    made, path = await encode_film(source, start=4, end=7.5)
    shown, original = picture_of(path), picture_of(source)
    assert shown.times == [0.0] and shown.end == pytest.approx(3.5, abs=0.01)
    assert made.info.duration == pytest.approx(3.5, abs=0.01)
    assert shown.pixel(1, 160, 120) == pytest.approx(original.pixel(5, 160, 120), abs=12)


async def test_a_cut_between_frames_begins_with_the_one_that_is_shown(films: Films, encode_film: EncodeFilm) -> None:
    source = films.static_tail()
    _, path = await encode_film(source, start=0.25, end=3)
    shown, original = picture_of(path), picture_of(source)
    assert shown.times == [0.0, 0.25, 0.75]
    assert shown.end == pytest.approx(2.75, abs=0.01)
    assert shown.pixel(0, 160, 120) == pytest.approx(original.pixel(0.25, 160, 120), abs=12)


async def test_a_second_sound_track_that_is_longer_does_not_count(
    tools: Tools, films: Films, encode_film: EncodeFilm
) -> None:
    maps = ("-map", "0", "-map", "1", "-map", "2", *X264, *AAC)
    for name in ("second.mp4", "second.mkv"):
        source = films.make(name, *picture(), *tone(), *tone(10, 880), *maps)
        assert (await tools.prober.probe(source)).duration == pytest.approx(2, abs=0.05)
        made, _ = await encode_film(source)
        assert made.info.duration == pytest.approx(2, abs=0.05) and made.warnings == ()


async def test_subtitles_that_are_longer_do_not_count(tools: Tools, films: Films, encode_film: EncodeFilm) -> None:
    text = films.write(
        "long.srt", b"1\n00:00:00,500 --> 00:00:01,000\nHello\n\n2\n00:00:50,000 --> 00:00:59,000\nBye\n"
    )
    source = films.make("subtitles.mkv", *picture(), "-i", text, "-map", "0", "-map", "1", *X264, "-c:s", "srt")
    assert (await tools.prober.probe(source)).duration == pytest.approx(2, abs=0.05)
    made, _ = await encode_film(source)
    assert made.info.duration == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize(
    ("extension", "codecs"),
    [
        ("ts", (*X264, *AAC)),
        ("m2t", ("-c:v", "libx264", *AAC, "-f", "mpegts")),
        ("mpg", ("-c:v", "mpeg1video", "-c:a", "mp2")),
        ("vob", ("-c:v", "mpeg2video", "-c:a", "ac3")),
    ],
)
async def test_joined_recordings_have_all_their_frames(
    tools: Tools, films: Films, encode_film: EncodeFilm, extension: str, codecs: tuple[str, ...]
) -> None:
    source = films.joined(extension, *codecs)
    assert (await tools.prober.probe(source)).duration == pytest.approx(4, abs=0.2)
    made, path = await encode_film(source)
    shown = picture_of(path)
    assert len(shown.times) == pytest.approx(120, abs=2)
    assert shown.times[-1] == pytest.approx(4, abs=0.09), "the picture is as long as the sound"
    assert made.info.duration == pytest.approx(4, abs=0.2)
    assert loudness_of(path) == pytest.approx(-21, abs=2)


async def test_a_cut_from_the_second_part_of_joined_recordings(films: Films, encode_film: EncodeFilm) -> None:
    made, path = await encode_film(films.joined("ts", *X264, *AAC), start=2.5, end=3.5)
    assert len(picture_of(path).times) == pytest.approx(30, abs=1)
    assert made.info.duration == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("seconds", [0.5, 600.0])
async def test_a_recording_whose_header_tells_a_wrong_duration(
    tools: Tools, films: Films, encode_film: EncodeFilm, seconds: float
) -> None:
    data = films.make("right.webm", *picture(), "-c:v", "libvpx", "-deadline", "realtime").read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # the element Duration: a double, in milliseconds
    source = films.write(f"says-{seconds}.webm", data[:at] + struct.pack(">d", seconds * 1000) + data[at + 8 :])
    assert (await tools.prober.probe(source)).duration == pytest.approx(2, abs=0.05)
    made, _ = await encode_film(source)
    assert made.info.duration == pytest.approx(2, abs=0.05) and made.warnings == ()


async def test_a_recording_in_fragments_has_a_duration(tools: Tools, films: Films, encode_film: EncodeFilm) -> None:
    fragments = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-g", "15")
    source = films.make("fragments.mp4", *picture(), *tone(), *X264, *AAC, *fragments)
    assert (await tools.prober.probe(source)).duration == pytest.approx(2, abs=0.05)
    made, _ = await encode_film(source, start=1)
    assert made.info.duration == pytest.approx(1, abs=0.05)


async def test_a_cut_that_holds_no_sound_has_none(films: Films, encode_film: EncodeFilm) -> None:
    source = films.make("sound-ends.mp4", *picture(6), *tone(2), *X264, *AAC)
    made, path = await encode_film(source, start=3, end=5)
    assert (made.info.audio, made.warnings) == ((), ())
    assert len(picture_of(path).times) == 60


@pytest.mark.parametrize("name", ["picture-ends.mp4", "picture-ends.mkv", "picture-ends.ts"])
async def test_a_cut_after_the_pictures_end_is_out_of_range(films: Films, encode_film: EncodeFilm, name: str) -> None:
    source = films.make(name, *picture(2), *tone(6), *X264, *AAC)
    with pytest.raises(MediaFault) as fault:
        await encode_film(source, start=3)
    assert fault.value.kind == "start_out_of_range" and "picture" in fault.value.message
    made, path = await encode_film(source, start=1)
    assert made.info.duration == pytest.approx(5, abs=0.1)
    assert len(picture_of(path).times) == pytest.approx(30, abs=1)


async def test_a_cut_keeps_sound_and_picture_in_step(films: Films, encode_film: EncodeFilm) -> None:
    # A white flash and a beep at 3.0 s; the only key frame is the first.
    flash = "color=black:s=160x120:r=30:d=5,drawbox=c=white:t=fill:enable='between(t,2.99,3.1)',format=yuv420p"
    beep = "sine=f=1000:d=5,volume='if(between(t,3,3.1),1,0)':eval=frame"
    lavfi = ("-f", "lavfi", "-i", flash, "-f", "lavfi", "-i", beep)
    for name in ("flash.mp4", "flash.mkv", "flash.ts"):
        source = films.make(name, *lavfi, *X264, "-g", "600", "-c:a", "aac")
        _, path = await encode_film(source, start=2.215, end=4)
        shown = picture_of(path)
        lit = next(time for time in shown.times if shown.pixel(time, 80, 60)[0] > 128)
        # In a transport stream the sound begins a packet before the picture, and the file with it.
        assert lit == pytest.approx(3 - 2.215 + (0.023 if name.endswith("ts") else 0), abs=0.002), name
        assert first_sound(path) == pytest.approx(lit, abs=0.03), name


def first_sound(path: object) -> float:
    """The second at which a finished film is heard first."""
    import av

    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = memoryview(bytes(frame.planes[0])).cast("f")
            for number, sample in enumerate(samples[: frame.samples]):
                if abs(sample) > 0.02:
                    return float(frame.time or 0) + number / frame.sample_rate
    raise AssertionError("no sound")

"""Films of unusual codecs, layouts, sizes and with transparency or damage, judged by decoding what is made of them."""

from pathlib import Path

import av
import pytest

from media.faults import MediaFault
from media.tools import Tools
from tests.services.transcoder.conftest import EncodeFilm
from tests.support.decoded import loudness_of, picture_of, rgba_of
from tests.support.films import HIDDEN, Films, picture, tone
from tests.support.footage import Material

MJPEG = ("-c:v", "mjpeg")
X264 = ("-c:v", "libx264", "-preset", "ultrafast")


def channels_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return container.streams.audio[0].codec_context.layout.nb_channels


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("dts.mkv", ("dca", "-strict", "-2")),
        ("truehd.mkv", ("truehd", "-strict", "-2")),
        ("wavpack.mkv", ("wavpack",)),
        ("tta.mkv", ("tta",)),
        ("yamaha.avi", ("adpcm_yamaha",)),
        ("swf.flv", ("adpcm_swf",)),
        ("nellymoser.flv", ("nellymoser", "-ac", "1")),
        ("g722.mkv", ("g722", "-ar", "16000")),
        ("bluray.m2ts", ("pcm_bluray", "-ar", "48000", "-ac", "2")),
    ],
)
async def test_sound_of_discs_recorders_and_editors_is_kept(
    films: Films, encode_film: EncodeFilm, name: str, codec: tuple[str, ...]
) -> None:
    video = "flv" if name.endswith("flv") else "mpeg2video" if name.endswith("m2ts") else "mjpeg"
    source = films.make(name, *picture(), *tone(), "-c:v", video, "-c:a", *codec)
    made, path = await encode_film(source)
    assert [track.codec for track in made.info.audio] == ["aac"]
    assert loudness_of(path) == pytest.approx(loudness_of(source), abs=1)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("cinepak.avi", ("cinepak",)),
        ("huffyuv.avi", ("huffyuv",)),
        ("utvideo.avi", ("utvideo",)),
        ("cineform.mov", ("cfhd", "-pix_fmt", "yuv422p10le")),
        ("sorenson.mov", ("svq1", "-pix_fmt", "yuv410p")),
        ("flash-screen.flv", ("flashsv2",)),
        ("v210.mov", ("v210", "-pix_fmt", "yuv422p10le")),
        ("old.avi", ("msvideo1",)),
        ("capture.avi", ("zmbv",)),
    ],
)
async def test_pictures_of_archives_editors_and_screen_recorders_are_decoded(
    films: Films, encode_film: EncodeFilm, name: str, codec: tuple[str, ...]
) -> None:
    source = films.make(name, "-f", "lavfi", "-i", "color=0xC03020:s=160x120:r=30:d=1", "-c:v", *codec)
    _, path = await encode_film(source)
    shown = picture_of(path)
    assert len(shown.times) == 30
    assert shown.pixel(0.5, 80, 60) == pytest.approx((0xC0, 0x30, 0x20), abs=10)


async def test_a_codec_that_is_not_supported_is_named(films: Films, encode_film: EncodeFilm) -> None:
    for name, codecs, sentence in (
        ("snow.avi", ("-c:v", "snow", "-strict", "-2"), "The picture is in Snow, a codec that is not supported."),
        (
            "real.mkv",
            (*X264, "-c:a", "real_144", "-ar", "8000"),
            "The sound is in RealAudio 1.0 (14.4K), a codec that is not supported.",
        ),
    ):
        source = films.make(name, *picture(1), *tone(1), *codecs)
        with pytest.raises(MediaFault) as fault:
            await encode_film(source)
        assert fault.value.kind == "input_codec_unsupported"
        assert fault.value.message == sentence


async def test_a_declared_sound_track_without_sound_is_left_out(
    tools: Tools, films: Films, encode_film: EncodeFilm
) -> None:
    made, path = await encode_film(films.empty_sound())
    assert made.info.audio == () and [warning.kind for warning in made.warnings] == ["empty_sound_track"]
    assert len(picture_of(path).times) == 60


@pytest.mark.parametrize(("rate", "made_at"), [(22_254, 24_000), (11_127, 12_000), (5_512, 8_000), (96_000, 48_000)])
async def test_sound_at_a_rate_that_aac_lacks(films: Films, encode_film: EncodeFilm, rate: int, made_at: int) -> None:
    source = films.make(f"rate-{rate}.mov", *picture(), *tone(rate=rate), *MJPEG, "-c:a", "pcm_s16le")
    made, path = await encode_film(source)
    assert [track.sample_rate for track in made.info.audio] == [made_at]
    assert loudness_of(path) == pytest.approx(-21, abs=1)


async def test_sound_is_in_step_though_the_file_counts_it_in_packets(films: Films, encode_film: EncodeFilm) -> None:
    # 43 ms a packet, and no finer unit.
    source = films.make("packets.avi", *picture(), *tone(rate=48_000), "-c:v", "mpeg4", "-c:a", "adpcm_yamaha")
    _, path = await encode_film(source)
    with av.open(str(path)) as container:
        sound = container.streams.audio[0]
        assert float((sound.start_time or 0) * (sound.time_base or 1)) == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("count", [3, 5, 6, 7, 8, 16])
async def test_any_number_of_channels_becomes_stereo(films: Films, encode_film: EncodeFilm, count: int) -> None:
    pan = f"pan={count}c|" + "|".join(f"c{number}=c0" for number in range(count))
    source = films.make(f"channels-{count}.mov", *picture(1), *tone(1), *MJPEG, "-af", pan, "-c:a", "pcm_s16le")
    made, path = await encode_film(source)
    assert [track.channels for track in made.info.audio] == [2] and loudness_of(path) > -26


@pytest.mark.parametrize("layout", ["7.1(wide)", "6.1(front)", "octagonal", "7.1.4"])
async def test_uncommon_layouts_become_stereo(films: Films, encode_film: EncodeFilm, layout: str) -> None:
    source = films.make(
        f"{layout}.mov", *picture(1), *tone(1), *MJPEG, "-af", f"aformat=channel_layouts={layout}", "-c:a", "pcm_s16le"
    )
    made, path = await encode_film(source)
    assert [track.channels for track in made.info.audio] == [2] and loudness_of(path) > -26


async def test_ambisonic_sound_becomes_stereo(tools: Tools, films: Films, encode_film: EncodeFilm) -> None:
    # All of it at the left: W and Y are equal.
    pan = "pan=ambisonic 1|c0=c0|c1=c0|c2=0*c0|c3=0*c0"
    codecs = (*X264, "-af", pan, "-c:a", "libopus", "-mapping_family", "2")
    source = films.make("ambisonic.mkv", *picture(), *tone(rate=48_000), *codecs)
    track = (await tools.prober.probe(source)).audio[0]
    assert (track.channels, track.layout) == (4, "ambisonic 1")
    _, path = await encode_film(source)
    assert channels_of(path) == 2
    left = films.make("left.wav", "-i", path, "-vn", "-af", "pan=mono|c0=c0")
    right = films.make("right.wav", "-i", path, "-vn", "-af", "pan=mono|c0=c1")
    assert loudness_of(left) == pytest.approx(-21, abs=2) and loudness_of(right) < -50


async def test_damaged_first_packets_cost_only_their_frames(
    tools: Tools, films: Films, encode_film: EncodeFilm
) -> None:
    made, path = await encode_film(films.damaged_start())
    shown = picture_of(path)
    # The first frame that can be decoded stands for those before it.
    assert len(shown.times) == 150 and shown.times[:2] == pytest.approx([0, 1 + 1 / 30], abs=0.001)
    assert made.info.duration == pytest.approx(6, abs=0.05) and loudness_of(path) == pytest.approx(-21, abs=1)
    assert [warning.kind for warning in made.warnings] == ["damage_skipped"]


@pytest.mark.parametrize("trailing", [b"\0" * 5000, b"\r\n--boundary--\r\n" * 9, bytes(range(1, 256)) * 20, b"xyz"])
async def test_trailing_bytes_after_a_film_are_ignored(films: Films, encode_film: EncodeFilm, trailing: bytes) -> None:
    source = films.write(f"trailing-{len(trailing)}.mp4", films.plain().read_bytes() + trailing)
    made, path = await encode_film(source)
    assert len(picture_of(path).times) == 60 and made.info.duration == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("name", ["tags.mp4", "tags.mkv", "tags.avi"])
async def test_tags_that_are_not_utf_8_do_not_matter(films: Films, encode_film: EncodeFilm, name: str) -> None:
    # A marker of the same length is replaced by Latin-1.
    made_with = ("-metadata", "title=XYZZY", "-metadata:s:v", "title=XYZZY")
    data = films.make(f"utf8-{name}", *picture(1), *X264, *made_with).read_bytes()
    assert b"XYZZY" in data
    source = films.write(name, data.replace(b"XYZZY", b"Caf\xe9\xff"))
    _, path = await encode_film(source)
    assert len(picture_of(path).times) == 30


async def test_a_picture_that_changes_its_shape_in_mid_stream_gets_bars(films: Films, encode_film: EncodeFilm) -> None:
    made, path = await encode_film(films.turned())
    assert made.info.display == (320, 240)
    shown = picture_of(path)
    assert shown.pixel(0.5, 2, 2) == pytest.approx((255, 0, 0), abs=3)
    assert shown.pixel(1.5, 60, 120) == shown.pixel(1.5, 260, 120) == (0, 0, 0)
    for x, y in ((76, 2), (160, 120), (243, 237)):
        assert shown.pixel(1.5, x, y) == pytest.approx((0, 0, 255), abs=3)


async def test_of_both_sides_as_asked_the_shape_of_the_first_frame_counts(
    films: Films, encode_film: EncodeFilm
) -> None:
    _, path = await encode_film(films.turned(), width=240, height=240)
    shown = picture_of(path)
    assert shown.pixel(0.5, 2, 2) == pytest.approx((255, 0, 0), abs=3)
    assert shown.pixel(1.5, 40, 120) == (0, 0, 0) and shown.pixel(1.5, 120, 2) == pytest.approx((0, 0, 255), abs=3)


TRANSPARENT = {
    "qtrle.mov": ("-c:v", "qtrle"),
    "vp9.webm": ("-pix_fmt", "yuva420p", "-c:v", "libvpx-vp9", "-cpu-used", "8"),
    "vp8.webm": ("-pix_fmt", "yuva420p", "-c:v", "libvpx", "-cpu-used", "8", "-auto-alt-ref", "0"),
    "prores.mov": ("-pix_fmt", "yuva444p10le", "-c:v", "prores_ks", "-profile:v", "4444"),
    "png.mov": ("-c:v", "png"),
    "rgba.mkv": ("-pix_fmt", "rgba", "-c:v", "ffv1"),
}


@pytest.mark.parametrize("name", TRANSPARENT)
@pytest.mark.parametrize(("options", "behind"), [({}, (255, 255, 255)), ({"background": "#204060"}, (32, 64, 96))])
async def test_transparent_parts_are_laid_on_white_or_on_the_background(
    films: Films, encode_film: EncodeFilm, name: str, options: dict[str, str], behind: tuple[int, int, int]
) -> None:
    _, path = await encode_film(films.transparent(name, *TRANSPARENT[name]), **options)
    shown = picture_of(path)
    assert shown.pixel(0.5, 80, 120) == pytest.approx((255, 0, 0), abs=6)
    assert shown.pixel(0.5, 240, 120) == pytest.approx(behind, abs=3)


@pytest.mark.parametrize("name", ["qtrle.mov", "vp9.webm"])
@pytest.mark.parametrize(("format", "decoder"), [("webm", "libvpx-vp9"), ("mov", "prores")])
async def test_transparency_is_kept_and_hidden_colours_are_not(
    films: Films, encode_film: EncodeFilm, name: str, format: str, decoder: str
) -> None:
    made, path = await encode_film(films.transparent(name, *TRANSPARENT[name]), format=format)
    assert made.info.video is not None and made.info.video.alpha
    left, right = rgba_of(path, decoder, 320, [(80, 120), (240, 120)])
    assert left == pytest.approx((255, 0, 0, 255), abs=6)
    assert right[3] == 0 and right[:3] != pytest.approx(HIDDEN, abs=100)
    assert picture_of(path).pixel(0.5, 240, 120) == pytest.approx((0, 0, 0), abs=6)


async def test_an_avi_whose_fourth_byte_is_unused_is_opaque(films: Films, encode_film: EncodeFilm) -> None:
    unused = "color=0xC03020:s=160x120:r=10:d=1,format=bgra,colorchannelmixer=aa=0"
    source = films.make("unused.avi", "-f", "lavfi", "-i", unused, "-c:v", "rawvideo", "-pix_fmt", "bgra")
    _, path = await encode_film(source)
    assert picture_of(path).pixel(0.5, 80, 60) == pytest.approx((0xC0, 0x30, 0x20), abs=6)


@pytest.mark.parametrize("format", ["mp4", "webm"])
@pytest.mark.parametrize("name", ["moving.gif", "moving.png", "moving.webp"])
async def test_an_animated_image_becomes_a_film(films: Films, encode_film: EncodeFilm, name: str, format: str) -> None:
    # Five frames of 0.2 s in shades of grey.
    source = ("-f", "lavfi", "-i", "color=black:s=64x36:r=5:d=1,format=gray,geq=lum=20+N*50,format=rgb24")
    palette = "split[a][b];[a]palettegen[p];[b][p]paletteuse"
    codec = {"png": ("-f", "apng"), "webp": ("-c:v", "libwebp_anim", "-lossless", "1"), "gif": ("-vf", palette)}
    made, path = await encode_film(films.make(name, *source, *codec[name.rpartition(".")[2]]), format=format)
    shown = picture_of(path)
    assert shown.times == pytest.approx([0, 0.2, 0.4, 0.6, 0.8], abs=0.011)
    assert made.info.duration == pytest.approx(1, abs=0.02) and shown.end == pytest.approx(1, abs=0.02)
    for number in range(5):
        assert shown.pixel(0.2 * number + 0.1, 32, 18) == pytest.approx((20 + 50 * number,) * 3, abs=5)


async def test_a_transparent_gif_is_laid_on_white(films: Films, encode_film: EncodeFilm) -> None:
    palette = "[0:v]split[a][b];[a]palettegen[p];[b][p]paletteuse,fps=10"
    moving = films.transparent("see-through.png", "-f", "apng")
    source = films.make("see-through.gif", "-i", moving, "-filter_complex", palette)
    _, path = await encode_film(source)
    assert picture_of(path).pixel(0.5, 240, 120) == pytest.approx((255, 255, 255), abs=3)


async def test_a_still_image_is_not_a_video(material: Material, encode_film: EncodeFilm) -> None:
    with pytest.raises(MediaFault) as fault:
        await encode_film(material.alpha())
    assert fault.value.kind == "input_kind_mismatch"

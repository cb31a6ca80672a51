"""Tags of place and device are gone from each format, and what is shown and heard is the same, byte by byte."""

import subprocess
from contextlib import suppress
from pathlib import Path
from random import Random

import av
import pytest

from media.faults import MediaFault
from media.ffmpeg import binary
from media.libvips import pyvips
from media.sandbox_image import decoded
from media.sandbox_strip.run import strip
from media.strip import TagRemover, changes
from media.tools import Tools
from tests.corpus import pictures
from tests.corpus.workshop import Recipe, changed, silent
from tests.media import tagged_files as tagged

X264 = "-c:v libx264 -preset ultrafast"
IMAGES: dict[str, Recipe] = {
    "photo.jpg": tagged.jpeg(),
    "upright.jpg": tagged.jpeg(1),
    "progressive.jpg": tagged.jpeg(interlace=True),
    "motion.jpg": tagged.jpeg(then=b"MotionPhoto" + tagged.CAMERA.encode() * 9),
    "photo.png": tagged.png(),
    "photo.webp": pictures.still(tagged.tagged_image(6), Q=90),
    "animated.webp": tagged.animated_webp(),
    "animated.gif": tagged.gif(),
    "photo.tif": tagged.tiff(),
    "tiles.tif": pictures.still(tagged.tagged_image(6), compression="lzw", tile=True, pyramid=True),
    "big.tif": pictures.still(tagged.tagged_image(), bigtiff=True),
    "photo.avif": pictures.still(tagged.tagged_image(), compression="av1", effort=0),
    "photo.heic": tagged.heic_photograph(),
}
STREAMS: dict[str, Recipe] = {
    "film.mp4": tagged.movie("-movflags use_metadata_tags"),
    "faststart.mp4": tagged.movie("-movflags +faststart+use_metadata_tags"),
    "fragmented.mp4": tagged.movie("-movflags +frag_keyframe+empty_moov"),
    "phone.mov": tagged.rotated(tagged.movie("-movflags use_metadata_tags -bf 2")),
    "appended.mp4": changed(tagged.movie(), tagged.with_device_boxes),
    "drone.mp4": tagged.with_text_track(f"GPS {tagged.PLACE} {tagged.CAMERA}"),
    "action.mp4": tagged.with_text_track(tagged.CAMERA * 5, tagged.as_data_track),
    "subtitles.mp4": tagged.with_text_track("Good morning"),
    "film.mkv": tagged.matroska(),
    "live.webm": tagged.live_webm(),
    "film.avi": tagged.movie("-c:a mp3"),
    "sound.m4a": tagged.sound_with_cover("-c:a aac"),
    "sound.mp3": tagged.sound_with_cover("-c:a mp3 -write_id3v1 1"),
    "sound.flac": tagged.sound_with_cover("-c:a flac"),
    "surround.flac": tagged.sound("-c:a flac -ac 4 -channel_layout 3.1"),
    "sound.ogg": tagged.sound("-c:a libvorbis"),
    "sound.opus": tagged.sound("-c:a libopus"),
    "flac.ogg": tagged.sound("-c:a flac"),
    "sound.wav": tagged.sound("-c:a pcm_s16le", "-write_bext 1 -metadata description=SecretCam"),
    "sound.aiff": tagged.sound("-c:a pcm_s16be", "-write_id3v2 1"),
    "sound.caf": tagged.sound("-c:a pcm_s16le"),
}


@pytest.fixture
def remover(tools: Tools) -> TagRemover:
    return TagRemover(tools.fork_server, tools.prober)


@pytest.mark.parametrize("name", IMAGES)
async def test_an_image_loses_its_tags_and_not_a_pixel(
    name: str, tools: Tools, remover: TagRemover, tmp_path: Path
) -> None:
    path = tagged.made(IMAGES[name], name, tmp_path)
    assert any(secret in path.read_bytes() for secret in tagged.SECRETS)
    pixels = await pixels_of(path, tools)
    before = await tools.prober.probe(path)
    after = await remover.strip(path, before)
    assert await pixels_of(path, tools) == pixels
    assert [secret for secret in tagged.SECRETS if secret in path.read_bytes()] == []
    assert after.model_dump(exclude={"filesize"}) == before.model_dump(exclude={"filesize"})
    assert (after.filesize, [path]) == (path.stat().st_size, list(path.parent.iterdir()))


@pytest.mark.parametrize("name", STREAMS)
async def test_a_film_or_sound_loses_its_tags_and_keeps_every_packet(
    name: str, tools: Tools, remover: TagRemover, tmp_path: Path
) -> None:
    path = tagged.made(STREAMS[name], name, tmp_path)
    assert any(secret in path.read_bytes() for secret in tagged.SECRETS)
    packets, before = packets_of(path), await tools.prober.probe(path)
    after = await remover.strip(path, before)
    assert packets_of(path) == packets
    assert [secret for secret in tagged.SECRETS if secret in path.read_bytes()] == []
    assert changes(before, after) == []


@pytest.mark.parametrize(("name", "stays"), [("subtitles.mp4", True), ("drone.mp4", False)])
async def test_subtitles_stay_unless_they_tell_positions(
    name: str, stays: bool, tools: Tools, remover: TagRemover, tmp_path: Path
) -> None:
    path = tagged.made(STREAMS[name], name, tmp_path)
    words = packets_of(path, "0:s")
    assert words
    await remover.strip(path, await tools.prober.probe(path))
    assert packets_of(path, "0:s") == (words if stays else [])


@pytest.mark.parametrize("name", ["book.mp4", "book.mov", "book.mkv"])
async def test_chapters_of_a_film_stay(name: str, tools: Tools, remover: TagRemover, tmp_path: Path) -> None:
    path = tagged.made(tagged.with_chapters(), name, tmp_path)
    await remover.strip(path, await tools.prober.probe(path))
    with av.open(str(path)) as film:
        titles = [chapter["metadata"]["title"] for chapter in film.chapters()]
    assert titles == ["Morning", "Evening"]
    assert [secret for secret in tagged.SECRETS if secret in path.read_bytes()] == []


def with_samples_elsewhere(data: bytes) -> bytes:
    """A film whose sample table lies: the tags cannot be told from the rest."""
    at = data.index(b"stco")
    return data[: at + 16] + b"\x7f\xff\xff\xff" + data[at + 20 :]


def with_a_gap(data: bytes) -> bytes:
    """Ogg with a byte between two pages."""
    at = data.rindex(b"OggS")
    return data[:at] + b"x" + data[at:]


@pytest.mark.parametrize(
    ("name", "recipe", "words"),
    [
        ("film.ts", silent(X264), "video/mp2t"),
        ("film.wmv", silent("-c:v wmv2"), "video/x-ms-wmv"),
        ("index.mp4", changed(tagged.movie(), with_samples_elsewhere), "structure"),
        ("data.mp4", tagged.with_text_track("x", tagged.as_data_track, more="-movflags +frag_keyframe"), "fragments"),
        ("cut.ogg", changed(tagged.sound("-c:a libvorbis"), with_a_gap), "struct"),
    ],
)
async def test_a_file_whose_tags_cannot_be_removed_is_refused_and_left_as_it_is(
    name: str, recipe: Recipe, words: str, tools: Tools, remover: TagRemover, tmp_path: Path
) -> None:
    path = tagged.made(recipe, name, tmp_path)
    data, info = path.read_bytes(), await tools.prober.probe(path)
    with pytest.raises(MediaFault) as caught:
        await remover.strip(path, info)
    assert (caught.value.kind, path.read_bytes()) == ("input_strip_unsupported", data)
    assert words in caught.value.message


SAMPLES = IMAGES | {name: STREAMS[name] for name in ("action.mp4", "film.mkv", "film.avi", "sound.flac", "sound.ogg")}


@pytest.mark.parametrize("name", SAMPLES)
async def test_damaged_files_end_with_a_fault_or_without_tags_and_with_nothing_else(
    name: str, tools: Tools, tmp_path: Path
) -> None:
    path = tagged.made(SAMPLES[name], name, tmp_path)
    data, format = path.read_bytes(), (await tools.prober.probe(path)).format
    chance = Random(name)
    for number in range(60):
        damaged = bytearray(data)
        for _ in range(chance.choice((1, 8, 64))):
            # Mostly at the beginning, where the structure is.
            damaged[chance.randrange(min(len(data), chance.choice((200, 4000, len(data)))))] = chance.randrange(256)
        path.write_bytes(damaged[: chance.choice((len(data), chance.randrange(len(data))))] or b"\0")
        with suppress(MediaFault):
            strip(str(path), str(tmp_path / f"{number}"), format)


async def test_a_file_without_tags_stays_as_it_is(tools: Tools, remover: TagRemover, tmp_path: Path) -> None:
    path = tagged.made(pictures.still(), "plain.png", tmp_path)
    data = path.read_bytes()
    await remover.strip(path, await tools.prober.probe(path))
    assert pyvips.Image.new_from_file(str(path)).avg() == pyvips.Image.new_from_buffer(data, "").avg()


async def pixels_of(path: Path, tools: Tools) -> tuple[bytes, dict[str, object]]:
    """All pixels as they are stored, and what says how they are shown."""
    format = (await tools.prober.probe(path)).format
    image = decoded(str(path), format)
    if image is None:
        pages = {"n": -1} if format in ("gif", "webp") else {}
        image = pyvips.Image.new_from_file(str(path), **pages)
    fields = set(image.get_fields()) & {"orientation", "icc-profile-data", "page-height", "loop", "delay"}
    return image.write_to_memory(), {name: image.get(name) for name in fields}


def packets_of(path: Path, *streams: str) -> list[str]:
    """Of each packet the stream's number among the chosen ones, its times and a hash of its content."""
    chosen = [word for stream in streams or ("0:V?", "0:a?") for word in ("-map", stream)]
    command = [str(binary()), "-v", "error", "-i", str(path), *chosen, "-c", "copy", "-f", "framehash", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    # Behind the hash come tags that a packet brings along.
    return [",".join(line.split(",")[:6]) for line in done.stdout.splitlines() if not line.startswith("#")]

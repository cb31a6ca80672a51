"""Damaged files, files that are no media, and inputs of a kind that a job cannot use."""

from dataclasses import replace

from tests.corpus import damage, pictures
from tests.corpus.case import Case, Film, Item, Refused, Sound, Still, quarters
from tests.corpus.pictures import still
from tests.corpus.workshop import ONSET, SINE_DB, X264, changed, content, film, made, silent, sine
from tests.corpus.workshop import quarters as picture

_DAMAGED = "6 damage"
_SOUND = Sound(1, (SINE_DB,))
_FAST = film(X264, sound="-c:a aac -movflags +faststart")
_MOVING = made(
    "-f lavfi -i testsrc2=s=320x240:r=30:d=6,format=yuv420p -f lavfi -i sine=d=6",
    "-c:v libx264 -preset ultrafast -g 30 -c:a aac -movflags +faststart",
)
_TRUNCATED = (Refused(code="input_truncated"), Refused(job="image", code="input_truncated"))
_UNREADABLE = tuple(Refused(job=job, code="input_unreadable") for job in ("video", "image", "item"))
_PAGE = b"<!doctype html><html><head><title>Not here</title></head><body>Sign in</body></html>"
_BOMB = pictures.flat(8, 8, (0, 0, 0)).pngsave_buffer()


def _declared(width: int, height: int) -> bytes:
    """A tiny PNG whose header declares this size, with a right checksum."""
    import zlib

    head = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    at = _BOMB.index(b"IHDR")
    return bytes(_BOMB[:at] + head + zlib.crc32(head).to_bytes(4, "big") + _BOMB[at + len(head) + 4 :])


CASES = (
    Case(
        "empty.mp4",
        "zero bytes",
        content(b""),
        tuple(Refused(job=job, code="input_empty") for job in ("video", "image")),
    ),
    Case("page.mp4", "a web page", content(_PAGE), _UNREADABLE),
    Case(
        "playlist.mp4",
        "a playlist",
        content(b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n"),
        _UNREADABLE,
    ),
    Case("concat.mp4", "a playlist", content(b"ffconcat version 1.0\nfile '/etc/passwd'\n"), _UNREADABLE),
    Case(
        "drawing.svg",
        "a drawing",
        content(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
        tuple(replace(refused, code="input_codec_unsupported", words="SVG") for refused in _UNREADABLE),
    ),
    Case("document.jpg", "a document", content(b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"), _UNREADABLE),
    Case("noise.mp4", "noise", content(damage.noise(b"", 0, 5000)(bytes(5000))), _UNREADABLE),
    Case("zeros.jpg", "zeros", content(bytes(20000)), _UNREADABLE),
    Case(
        "only_header.mp4",
        "only a header",
        content(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"),
        (Refused(code="input_truncated"),),
    ),
    *(
        Case(f"truncated_{share}.mp4", "truncated", changed(_FAST, damage.cut(share / 100)), _TRUNCATED)
        for share in (50, 95)
    ),
    Case(
        "truncated_20.mp4",
        "truncated before the first frame",
        changed(_FAST, damage.cut(0.2)),
        (
            Refused(code="input_truncated"),
            Refused(job="image", code="input_truncated"),
        ),
    ),
    Case("headless.mp4", "truncated", changed(film(), damage.cut(0.5)), _TRUNCATED),
    Case(
        "truncated.webm",
        "truncated",
        changed(
            film("-c:v libvpx -deadline realtime -cpu-used 8 -crf 4 -b:v 4M", sound="-c:a libopus", matrix="smpte170m"),
            damage.cut(0.5),
        ),
        _TRUNCATED,
    ),
    Case(
        "truncated.ts",
        "truncated",
        changed(film(X264), damage.cut(0.75)),
        (Film(frames=range(20, 60), sound=Sound(1, onset=None), warnings=("damage_skipped",)),),
    ),
    *(
        Case(
            f"truncated_{share}.jpg",
            "truncated",
            changed(still(Q=95), damage.cut(share / 100)),
            (Refused(job="image", code="input_truncated"),),
        )
        for share in (30, 60, 90)
    ),
    Case(
        "truncated.png",
        "truncated",
        changed(still(compression=0), damage.cut(0.5)),
        (Refused(job="image", code="input_truncated"),),
    ),
    Case(
        "truncated.gif", "truncated", changed(still(), damage.cut(0.3)), (Refused(job="image", code="input_truncated"),)
    ),
    Case(
        "truncated.webp",
        "truncated",
        changed(still(lossless=True), damage.cut(0.5)),
        (Refused(job="image", code="input_truncated"),),
    ),
    Case(
        "truncated.avif",
        "truncated",
        changed(still(compression="av1", effort=0), damage.cut(0.7)),
        (Refused(job="image", code="input_truncated"),),
    ),
    Case(
        "b_noeoi.jpg",
        _DAMAGED,
        changed(still(Q=95), damage.without_last(2)),
        (
            Still(size=(320, 200), patches=quarters()),
            Item(size=(320, 200), patches=quarters()),
        ),
    ),
    Case(
        "br_damaged_start.mp4",
        _DAMAGED,
        changed(_MOVING, damage.noise(b"mdat", 700, 6000)),
        (
            Film(
                size=(320, 240),
                frames=range(140, 181),
                sound=Sound(1, onset=None),
                warnings=("damage_skipped",),
            ),
            Still(size=(320, 240)),
            Item(size=(320, 240)),
        ),
    ),
    Case(
        "damaged_middle.mp4",
        _DAMAGED,
        changed(_MOVING, damage.noise_at(0.5, 4000)),
        (
            Film(
                size=(320, 240),
                frames=range(130, 181),
                sound=Sound(1, onset=None),
                warnings=("damage_skipped",),
            ),
        ),
    ),
    Case(
        "trailing.mp4",
        _DAMAGED,
        changed(_FAST, damage.followed_by(b"\xff" * 3000)),
        (Film(size=(320, 240), frames=60, onset=ONSET, sound=_SOUND),),
    ),
    Case(
        "trailing_zeros.mp4",
        _DAMAGED,
        changed(_FAST, damage.followed_by(bytes(3000))),
        (Film(size=(320, 240), frames=60, onset=ONSET, sound=_SOUND),),
    ),
    Case(
        "trailing.jpg",
        _DAMAGED,
        changed(still(Q=95), damage.followed_by(b"trailing bytes" * 50)),
        (Still(size=(320, 200), patches=quarters()),),
    ),
    Case(
        "trailing.png",
        _DAMAGED,
        changed(still(), damage.followed_by(b"trailing bytes" * 50)),
        (Still(format="png", size=(320, 200), patches=quarters()),),
    ),
    Case(
        "tags.mkv",
        "tags that are not UTF-8",
        changed(
            film(X264, sound="-c:a aac -metadata title=SecretSecret"),
            damage.replaced(b"SecretSecret", b"Caf\xe9 \xff\xfe\x80nul\xc3"),
        ),
        (Film(size=(320, 240), frames=60, onset=ONSET, sound=_SOUND),),
    ),
    Case(
        "tags.avi",
        "tags that are not UTF-8",
        changed(
            film("-c:v mpeg4 -q:v 2", sound="-c:a libmp3lame -metadata title=SecretSecret", matrix="smpte170m"),
            damage.replaced(b"SecretSecret", b"Caf\xe9 \xff\xfe\x80nul\xc3"),
        ),
        (Film(size=(320, 240), frames=range(59, 62), sound=Sound(1, onset=None)),),
    ),
    Case(
        "language.mp4",
        "tags that are not UTF-8",
        changed(
            film(X264, sound="-c:a aac -metadata title=SecretSecret"),
            damage.replaced(b"SecretSecret", b"Caf\xe9 \xff\xfe\x80nul\xc3"),
        ),
        (Film(size=(320, 240), frames=60, onset=ONSET, sound=_SOUND),),
    ),
    Case(
        "bomb.png",
        "decompression bomb",
        content(_declared(60000, 60000)),
        (Refused(job="image", code="input_limits_exceeded"), Refused(code="input_limits_exceeded")),
    ),
    Case(
        "many_streams.mkv",
        "65 streams",
        made(sine(0.2, onset=0), "-map 0 " * 65, "-c:a pcm_s16le"),
        (Refused(code="input_limits_exceeded", words="65"),),
        short=False,
    ),
    Case(
        "tone.mp3",
        "no picture",
        made(sine(), "-c:a libmp3lame"),
        (Refused(code="input_kind_mismatch", words="sound"), Refused(job="image", code="input_kind_mismatch")),
    ),
    Case(
        "tone_with_cover.mp3",
        "no picture",
        made(
            sine(),
            picture(64, 64, seconds=0.1),
            "-map 0 -map 1 -frames:v 1 -c:a libmp3lame -c:v mjpeg -pix_fmt yuvj420p -disposition:v attached_pic",
        ),
        (Refused(code="input_kind_mismatch", words="sound"),),
    ),
    Case("photo.png", "an image for a video job", still(), (Refused(code="input_kind_mismatch", words="image"),)),
    Case(
        "side_too_long.mp4",
        "output too large",
        silent(seconds=0.1, width=64, height=640),
        (
            Refused({"width": 8192}, code="output_too_large"),
            Refused({"width": 8192}, job="image", code="output_too_large"),
        ),
    ),
    Case(
        "not_encrypted.mp4",
        "codec without a name",
        changed(silent(seconds=0.2), damage.replaced(b"avc1\0\0\0", b"xyz1\0\0\0")),
        (Refused(code="input_codec_unsupported"),),
    ),
)

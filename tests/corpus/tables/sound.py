"""Sound: channels, rates, codecs, empty tracks."""

from typing import Any

from tests.corpus.case import Case, Film, Refused, Sound, quarters
from tests.corpus.workshop import ONSET, SINE_DB, X264, Recipe, film, made, remuxed, sine
from tests.corpus.workshop import quarters as picture

_CODECS, _EMPTY, _LAYOUTS = "3 codec", "4 empty sound", "5 rate or layout"
_MONO = Sound(1, (SINE_DB,))
_WHOLE = Film(frames=60, patches=quarters(1.5), onset=ONSET, sound=_MONO)


def _channels(layout: str, gains: str, codec: str = "-c:a pcm_s16le", video: str = "-c:v mjpeg -q:v 2") -> Recipe:
    """The tone in the channels of a layout, with a gain for each: `pan`'s arguments."""
    full: dict[str, Any] = {"pixels": "yuvj420p", "range": "pc"} if "mjpeg" in video else {}
    return made(picture(onset=1, **full), sine(then=f"pan={layout}|{gains}"), video, codec)


def _heard(layout: str, channel: str) -> str:
    return f"{channel}=c0"


def _stereo(level: float | None, right: float | None = 0.0, *, within: float = 1.5) -> Film:
    other = level if right == 0.0 else right
    return Film(frames=60, onset=ONSET, sound=Sound(2, (level, other), within=within))


_ALL8 = "|".join(f"c{n}=c0" for n in range(8))
_ALL7 = "|".join(f"c{n}=c0" for n in range(7))
_AUDIBLE = Film(frames=60, onset=ONSET, sound=Sound(2, (SINE_DB, SINE_DB), within=12))

CASES = (
    Case("mono.mp4", "mono", film(), (_WHOLE,)),
    Case("left_only.mp4", "one side silent", _channels("stereo", "FL=c0", "-c:a aac", X264), (_stereo(SINE_DB, None),)),
    Case("stereo_pcm.mov", "stereo", _channels("stereo", "FL=c0|FR=0.5*c0"), (_stereo(SINE_DB, SINE_DB - 6),)),
    Case("three.mov", "3 channels", _channels("3.0", "FC=c0"), (_stereo(-14, within=4),)),
    Case("quad.mov", "4 channels", _channels("quad", "BL=c0|BR=c0"), (_stereo(-14, within=4),)),
    Case(
        "five_one_centre.mp4",
        "5.1, centre only",
        _channels("5.1", "FC=c0", "-c:a aac", X264),
        (_stereo(-12, within=4),),
    ),
    Case("five_one_front.mkv", "5.1", _channels("5.1", "FL=c0|FR=c0", "-c:a ac3", X264), (_stereo(SINE_DB, within=4),)),
    Case("seven_one.mkv", "7.1", _channels("7.1", "FC=c0", "-c:a flac", X264), (_stereo(-12, within=5),)),
    Case("ch_7.mov", _LAYOUTS, _channels("7c", _ALL7), (_AUDIBLE,)),
    Case("ch_8.mov", _LAYOUTS, _channels("8c", _ALL8), (_AUDIBLE,)),
    Case(
        "ambisonic.mkv",
        _LAYOUTS,
        _channels("ambisonic 1", "c0=c0|c1=c0|c2=c0|c3=c0", "-c:a libopus -mapping_family 2", X264),
        (Film(frames=60, onset=ONSET, sound=Sound(2, within=20)),),
        short=False,
    ),
    Case(
        "rate_22254.mov",
        _LAYOUTS,
        made(picture(onset=1), sine(rate=22254), X264, "-c:a pcm_s16le"),
        (Film(frames=60, onset=ONSET, sound=_MONO),),
    ),
    Case(
        "rate_11127.mov",
        _LAYOUTS,
        made(picture(onset=1), sine(rate=11127), X264, "-c:a pcm_s16le"),
        (Film(frames=60, onset=ONSET, sound=_MONO),),
    ),
    Case(
        "rate_6000.mov",
        _LAYOUTS,
        made(picture(onset=1), sine(rate=6000), X264, "-c:a pcm_s16le"),
        (Film(frames=60, onset=ONSET, sound=_MONO),),
    ),
    Case("rate_96000.mov", "96 kHz", made(picture(onset=1), sine(rate=96000), X264, "-c:a pcm_s24le"), (_WHOLE,)),
    Case(
        "rate_8000.3gp",
        "8 kHz",
        film(X264, sound="-c:a libopencore_amrnb -ar 8000"),
        (Film(frames=60, onset=ONSET, sound=Sound(1, (SINE_DB,), within=3)),),
    ),
    Case(
        "c_dts.mkv",
        _CODECS,
        film(X264, sound="-c:a dca -strict -2"),
        (Film(frames=60, onset=ONSET, sound=_MONO),),
    ),
    Case(
        "truehd.mkv",
        _CODECS,
        film(X264, sound="-c:a truehd -strict -2 -ac 2"),
        (Film(frames=60, onset=ONSET, sound=Sound(2, (SINE_DB - 3, SINE_DB - 3))),),
    ),
    Case(
        "adpcm_swf.flv",
        _CODECS,
        film("-c:v flv -q:v 2", sound="-c:a adpcm_swf -ar 44100", matrix="smpte170m"),
        (Film(frames=60, onset=ONSET, sound=Sound(1, (SINE_DB,), within=3)),),
    ),
    Case(
        "adpcm_yamaha.avi",
        _CODECS,
        film("-c:v mpeg4 -q:v 2", sound="-c:a adpcm_yamaha", matrix="smpte170m"),
        (Film(frames=60, onset=ONSET, sound=Sound(1, (SINE_DB,), within=3)),),
    ),
    Case(
        "g722.mkv",
        _CODECS,
        film(X264, sound="-c:a g722 -ar 16000"),
        (Film(frames=60, onset=ONSET, sound=_MONO),),
        short=False,
    ),
    Case(
        "wavpack.mkv",
        _CODECS,
        film(X264, sound="-c:a wavpack"),
        (Film(frames=60, onset=ONSET, sound=_MONO),),
    ),
    Case("pcm_u16.mov", "big-endian PCM", film(X264, sound="-c:a pcm_s16be"), (_WHOLE,)),
    Case("pcm_f64.mov", "float PCM", film(X264, sound="-c:a pcm_f64le"), (_WHOLE,)),
    Case(
        "alaw.avi",
        "telephone",
        film("-c:v mpeg4 -q:v 2", sound="-c:a pcm_alaw -ar 8000", matrix="smpte170m"),
        (Film(frames=60, onset=ONSET, sound=_MONO),),
    ),
    Case("eac3.mp4", "E-AC-3", film(X264, sound="-c:a eac3"), (_WHOLE,)),
    Case("alac.mov", "ALAC", film(X264, sound="-c:a alac"), (_WHOLE,)),
    Case(
        "vorbis.webm",
        "Vorbis",
        film("-c:v libvpx -deadline realtime -cpu-used 8 -crf 4 -b:v 4M", sound="-c:a libvorbis", matrix="smpte170m"),
        (_WHOLE,),
    ),
    Case("mp3.mp4", "MP3", film(X264, sound="-c:a libmp3lame"), (_WHOLE,)),
    Case(
        "two_tracks.mkv",
        "several tracks",
        made(
            picture(onset=1),
            "-f lavfi -i sine=f=300:d=2",
            sine(),
            "-map 0 -map 1 -map 2 -disposition:a:0 0 -disposition:a:1 default",
            X264,
            "-c:a aac",
        ),
        (_WHOLE,),
    ),
    Case(
        "ea_empty.webm",
        _EMPTY,
        remuxed(
            film("-c:v libvpx -deadline realtime -cpu-used 8 -crf 4 -b:v 4M", sound="-c:a libopus", matrix="smpte170m"),
            ".webm",
            "-c copy -bsf:a noise=drop=1",
        ),
        (Film(seconds=2, frames=60, patches=quarters(1.5), warnings=("empty_sound_track",)),),
    ),
    Case(
        "empty_sound.mp4",
        _EMPTY,
        remuxed(film(), ".mp4", "-c copy -bsf:a noise=drop=1"),
        (Film(seconds=2, frames=60, patches=quarters(1.5)),),
    ),
    Case(
        "cut_without_sound.mp4",
        _EMPTY,
        made(picture(onset=0.0, seconds=4), sine(2), X264, "-c:a aac"),
        (Film({"start": 3}, seconds=1, frames=30, patches=quarters(0.5)),),
    ),
    Case(
        "cut_behind_picture.mp4",
        _EMPTY,
        made(picture(onset=0.0, seconds=1), sine(4, onset=0), X264, "-c:a aac"),
        (Refused({"start": 3}, code="start_out_of_range", words="3"),),
    ),
    Case(
        "late_sound_only.mkv",
        _EMPTY,
        made(picture(onset=0.0), "-itsoffset 1.5", sine(0.5, onset=0), X264, "-c:a aac"),
        (Film({"end": 1}, seconds=1, frames=30),),
    ),
)

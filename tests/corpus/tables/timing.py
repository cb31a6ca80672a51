"""Length, rate and timestamps: what the picture has is what comes out, each frame at its own time."""

from tests.corpus import boxes, damage
from tests.corpus.case import Case, Film, Refused, Sound, Still, quarters
from tests.corpus.workshop import ONSET, SINE_DB, X264, changed, film, joined, made, remuxed, silent, sine, with_files
from tests.corpus.workshop import quarters as picture

_SOUND = Sound(1, (SINE_DB,))
_LENGTH = "1 length"
_WHOLE = Film(size=(320, 240), seconds=2, frames=60, patches=quarters(1.5), onset=ONSET, sound=_SOUND)
_STATIC = silent("-c:v libx264 -preset ultrafast -crf 6 -bf 0", fps="2", seconds=1.5)
_STATIC_B = silent("-c:v libx264 -preset medium -crf 6 -bf 2", fps="2", seconds=1.5)
_VP8 = "-c:v libvpx -deadline realtime -cpu-used 8 -crf 4 -b:v 4M"
_TS = film(X264, "-muxdelay 0 -muxpreload 0")
_VFR = "select='lt(n,15)+not(mod(n,7))'"
_VFR_TIMES = tuple(n / 30 for n in range(60) if n < 15 or n % 7 == 0)

CASES = (
    Case(
        "vfr_static_tail.mp4",
        _LENGTH,
        changed(_STATIC, boxes.last_frame_lasts(9)),
        (
            Film(size=(320, 240), seconds=10, frames=range(3, 400), patches=quarters(9)),
            Film({"format": "webm"}, seconds=10, frames=range(3, 400), patches=quarters(9)),
            Still({"start": 8}, size=(320, 240), patches=quarters()),
        ),
    ),
    Case(
        "vfr_static_tail_b.mp4",
        _LENGTH,
        changed(_STATIC_B, boxes.last_frame_lasts(9)),
        (Film(seconds=10, frames=range(3, 400), patches=quarters(9)),),
    ),
    Case(
        "vfr_static_cut.mp4",
        _LENGTH,
        changed(_STATIC, boxes.last_frame_lasts(9)),
        (Film({"start": 4, "end": 6}, seconds=2, frames=range(1, 400), patches=quarters(1)),),
    ),
    Case(
        "long_second_audio.mp4",
        _LENGTH,
        made(picture(onset=1), sine(2), "-f lavfi -i sine=f=880:d=10 -map 0 -map 1 -map 2", X264, "-c:a aac"),
        (Film(size=(320, 240), seconds=2, frames=60, onset=ONSET, sound=_SOUND),),
    ),
    Case(
        "long_subtitle.mkv",
        _LENGTH,
        with_files("-i {late_srt}", X264, "-c:a aac -c:s srt", late_srt="1\n00:00:01,000 --> 00:00:30,000\nHello\n"),
        (Film(seconds=2, frames=60, onset=ONSET, sound=_SOUND),),
    ),
    Case(
        "ts_concat.ts",
        _LENGTH,
        joined(*[film(X264, "-shortest")] * 2),
        (Film(seconds=4, seconds_within=0.15, frames=120, patches=quarters(3.5), onset=ONSET, sound=_SOUND),),
    ),
    Case(
        "ts_concat_from_0.ts",
        _LENGTH,
        joined(_TS, _TS),
        (Film(seconds=4, seconds_within=0.15, frames=range(118, 122), onset=ONSET, sound=_SOUND),),
    ),
    Case(
        "ps_concat.mpg",
        _LENGTH,
        joined(*[film("-c:v mpeg2video -q:v 2", sound="-c:a mp2 -f mpeg")] * 2),
        (Film(seconds=4, seconds_within=0.2, frames=range(116, 122), sound=_SOUND),),
    ),
    Case(
        "movie_header_long.mp4",
        _LENGTH,
        changed(film(), boxes.movie_lasts(30)),
        (_WHOLE,),
    ),
    Case("header_shorter.mkv", _LENGTH, changed(film(), damage.matroska_lasts(1)), (_WHOLE,)),
    Case(
        "header_longer.mkv",
        _LENGTH,
        changed(film(), damage.matroska_lasts(60)),
        (Film(seconds=2, frames=60, onset=ONSET, sound=_SOUND),),
    ),
    Case(
        "no_duration.webm",
        "recorder without a duration",
        made(picture(onset=1, matrix="smpte170m"), sine(2), _VP8, "-c:a libopus -f webm -live 1"),
        (_WHOLE, Film({"format": "webm"}, seconds=2, frames=60, onset=ONSET, sound=_SOUND)),
    ),
    Case(
        "sound_longer.mp4",
        "sound longer than picture",
        made(picture(onset=1), sine(5), X264, "-c:a aac"),
        (Film(frames=60, patches=quarters(1.5), onset=ONSET, sound=_SOUND),),
    ),
    Case(
        "picture_longer.mp4",
        "picture longer than sound",
        made(picture(onset=1, seconds=4), sine(2), X264, "-c:a aac"),
        (Film(seconds=4, frames=120, patches=quarters(3.5), onset=ONSET, sound=_SOUND),),
    ),
    Case(
        "rate_23976.mp4",
        "23.976",
        film(fps="24000/1001", seconds=3),
        (Film(fps=23.976, frames=72, times=tuple(n * 1001 / 24000 for n in range(70)), sound=_SOUND),),
    ),
    Case(
        "rate_5994.mp4",
        "59.94",
        film(fps="60000/1001"),
        (Film(fps=59.94, frames=120, times=tuple(n * 1001 / 60000 for n in range(119)), sound=_SOUND),),
    ),
    Case("rate_120.mp4", "120 frames a second", film(fps="120"), (Film(fps=120, frames=240, onset=1, sound=_SOUND),)),
    Case("rate_1.mp4", "1 frame a second", silent(fps="1", seconds=5), (Film(frames=5, seconds=5),)),
    Case(
        "vfr.mp4",
        "variable rate",
        made(picture(), "-vf", f'"{_VFR}"', "-fps_mode vfr", X264),
        (Film(frames=len(_VFR_TIMES), times=_VFR_TIMES, patches=quarters(1)),),
    ),
    Case(
        "vfr.webm",
        "variable rate",
        made(picture(matrix="smpte170m"), "-vf", f'"{_VFR}"', "-fps_mode vfr", _VP8),
        (Film(frames=len(_VFR_TIMES), patches=quarters(1)),),
    ),
    Case(
        "interlaced.mpg",
        "interlaced",
        film("-vf interlace -c:v mpeg2video -flags +ildct+ilme -q:v 2 -r 25", fps="50", sound="-c:a mp2"),
        (Film(frames=range(48, 52), onset=ONSET, patches=quarters(1.5), sound=_SOUND),),
    ),
    Case(
        "start_offset.ts",
        "start offset",
        film(X264, sound="-c:a aac -output_ts_offset 3600"),
        (Film(frames=60, onset=1.02, patches=quarters(1.5), sound=_SOUND, seconds=2, seconds_within=0.12),),
    ),
    Case(
        "late_sound.mkv",
        "sound begins later",
        made(picture(onset=1), "-itsoffset 0.5", sine(1.5, onset=0.5), X264, "-c:a aac"),
        (Film(frames=60, onset=ONSET, sound=_SOUND),),
    ),
    Case(
        "late_picture.mkv",
        "picture begins later",
        made("-itsoffset 0.5", picture(onset=0.5, seconds=1.5), sine(2), "-map 0 -map 1", X264, "-c:a aac"),
        (Film(frames=45, onset=ONSET, times=(0.5,), sound=_SOUND),),
    ),
    Case(
        "edit_list.mp4",
        "edit list",
        remuxed(film("-c:v libx264 -preset ultrafast -crf 6 -g 15"), ".mp4", "-c copy"),
        (_WHOLE,),
    ),
    Case(
        "edit_list_cut.mp4",
        "edit list",
        remuxed(film("-c:v libx264 -preset ultrafast -crf 6 -g 60", seconds=3.0), ".mp4", read="-ss 0.5"),
        (Film(seconds=2.5, frames=75, onset=0.5, sound=Sound(1, (SINE_DB,), onset=0.5)),),
    ),
    Case(
        "b_frames.mp4",
        "frames out of order",
        film("-c:v libx264 -preset medium -crf 6 -bf 3"),
        (_WHOLE, Film({"start": 0.5, "end": 1.5}, frames=30, seconds=1, onset=0.5, sound=Sound(1, (SINE_DB,), 0.5))),
    ),
    Case(
        "one_frame.mp4", "one frame", silent(seconds=0.03), (Film(frames=1), Still(size=(320, 240), patches=quarters()))
    ),
    Case(
        "very_short.mp4",
        "50 ms",
        made(picture(seconds=0.07), sine(0.05, onset=0), X264, "-c:a aac"),
        (Film(frames=3, sound=Sound(1, onset=None)),),
    ),
    Case(
        "long.mp4",
        "long",
        silent(fps="1", seconds=600.0, width=64, height=48),
        (Film(seconds=600, seconds_within=0.6, frames=600), Still({"start": 599.5}, size=(64, 48), patches=quarters())),
        short=False,
    ),
    Case(
        "start_past_end.mp4",
        "start past the end",
        film(),
        (
            Refused({"start": 7}, code="start_out_of_range", words="7 s"),
            Refused({"start": 7}, job="image", code="start_out_of_range", words="7 s"),
        ),
    ),
    Case("cut.mp4", "cut", film(), (Film({"start": 0.5}, frames=45, onset=0.5, sound=Sound(1, (SINE_DB,), 0.5)),)),
)

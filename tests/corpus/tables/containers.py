"""Containers, codecs and the streams beside picture and sound."""

from typing import Any

from tests.corpus.case import Case, Film, Item, Sound, quarters
from tests.corpus.workshop import ONSET, SINE_DB, X264, film, made, with_files
from tests.corpus.workshop import quarters as picture

_SOUND = Sound(1, (SINE_DB,))
_WHOLE = Film(size=(320, 240), seconds=2, frames=60, patches=quarters(1.5), onset=ONSET, sound=_SOUND)
_COARSE = Film(frames=range(58, 62), patches=quarters(1.5, within=8), onset=ONSET, sound=_SOUND)
_CODECS = "3 codec"
_VP8 = "-c:v libvpx -deadline realtime -cpu-used 8 -crf 4 -b:v 4M"
_SD: dict[str, Any] = {"matrix": "smpte170m"}


_SRT = "1\n00:00:00,500 --> 00:00:01,500\nHello\n"
_CHAPTERS = ";FFMETADATA1\ntitle=Secret\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=Secret chapter\n"
_COVER = made(picture(64, 64, pixels="yuvj444p", range="pc", tags=""), "-frames:v 1 -c:v mjpeg")

CASES = (
    Case("moov_at_end.mp4", "index at the end", film(), (_WHOLE, Item(size=(320, 240)))),
    Case("fragmented.mp4", "fragmented", film(X264, sound="-c:a aac -movflags +frag_keyframe+empty_moov"), (_WHOLE,)),
    Case("fragmented_dash.mp4", "fragmented", film(X264, sound="-c:a aac -movflags +dash"), (_WHOLE,)),
    Case(
        "hevc.mp4",
        "HEVC",
        film("-c:v libx265 -preset ultrafast -x265-params crf=4:log-level=error -tag:v hvc1"),
        (_WHOLE,),
    ),
    Case("hev1.mkv", "HEVC", film("-c:v libx265 -preset ultrafast -x265-params crf=4:log-level=error"), (_WHOLE,)),
    Case("vp8.webm", "browser recorder", film(_VP8, sound="-c:a libopus", **_SD), (_WHOLE,)),
    Case(
        "vp9.webm",
        "VP9",
        film("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 4 -b:v 0", sound="-c:a libopus"),
        (
            _WHOLE,
            Film({"format": "webm"}, size=(320, 240), frames=60, patches=quarters(1.5), onset=ONSET, sound=_SOUND),
        ),
    ),
    Case("av1.mp4", "AV1", film("-c:v libsvtav1 -preset 12 -crf 10 -svtav1-params lp=1"), (_WHOLE,), short=False),
    Case(
        "av1.webm",
        "AV1",
        film("-c:v libaom-av1 -cpu-used 8 -usage realtime -crf 8", sound="-c:a libopus"),
        (_WHOLE,),
        short=False,
    ),
    Case("h264_in.webm.mkv", "recorder of Chrome", film(X264, sound="-c:a libopus"), (_WHOLE,)),
    Case("mpeg4.avi", "AVI", film("-c:v mpeg4 -q:v 2 -vtag XVID", sound="-c:a libmp3lame", **_SD), (_COARSE,)),
    Case(
        "mjpeg.avi",
        "camera",
        film("-c:v mjpeg -q:v 2", sound="-c:a pcm_u8", pixels="yuvj420p", range="pc", **_SD),
        (_COARSE,),
    ),
    Case("mpeg2.ts", "TV", film("-c:v mpeg2video -q:v 2", sound="-c:a mp2 -muxdelay 0 -muxpreload 0"), (_COARSE,)),
    Case("mpeg1.mpg", "MPEG-1", film("-c:v mpeg1video -q:v 2", sound="-c:a mp2", **_SD), (_COARSE,)),
    Case("wmv.wmv", "Windows", film("-c:v wmv2 -q:v 2", sound="-c:a wmav2", **_SD), (_COARSE,)),
    Case("flv.flv", "Flash", film("-c:v flv -q:v 2", sound="-c:a libmp3lame -ar 44100", **_SD), (_COARSE,)),
    Case(
        "theora.ogv",
        "Ogg",
        film("-c:v libtheora -q:v 10", sound="-c:a libvorbis", **_SD),
        (Film(seconds=2, seconds_within=0.2, patches=quarters(1.5, within=8), onset=ONSET, sound=_SOUND),),
    ),
    Case(
        "h263.3gp",
        "old phone",
        film("-c:v h263 -q:v 2 -s 352x288", sound="-c:a libopencore_amrnb -ar 8000", **_SD),
        (Film(frames=60, patches=quarters(1.5, within=8), onset=ONSET, sound=Sound(1, (SINE_DB,), within=3)),),
    ),
    Case(
        "prores.mov",
        "editor",
        film("-c:v prores_ks -profile:v 3", sound="-c:a pcm_s24le", pixels="yuv422p10le"),
        (_WHOLE,),
    ),
    Case(
        "dnxhr.mov",
        "editor",
        film("-c:v dnxhd -profile:v dnxhr_hq", sound="-c:a pcm_s16le", pixels="yuv422p"),
        (_WHOLE,),
    ),
    Case(
        "dv.mov",
        "camcorder",
        film(
            "-c:v dvvideo -s 720x576 -r 25", sound="-c:a pcm_s16le -ac 2", fps="25", pixels="yuv420p", matrix="bt470bg"
        ),
        (
            Film(
                size=(768, 576),
                frames=50,
                patches=quarters(1.5, within=6),
                onset=ONSET,
                sound=Sound(2, (SINE_DB - 3, SINE_DB - 3)),
            ),
        ),
    ),
    Case("ffv1.mkv", "archive", film("-c:v ffv1", sound="-c:a flac"), (_WHOLE,)),
    Case(
        "utvideo.avi",
        _CODECS,
        film("-c:v utvideo", sound="-c:a pcm_s16le"),
        (Film(frames=60, patches=quarters(1.5), sound=_SOUND),),
    ),
    Case(
        "huffyuv.avi",
        _CODECS,
        film("-c:v huffyuv", sound="-c:a pcm_s16le", pixels="yuv422p", matrix="smpte170m"),
        (Film(frames=60, patches=quarters(1.5), sound=_SOUND),),
    ),
    Case(
        "c_cinepak.avi",
        _CODECS,
        film("-c:v cinepak", sound="-c:a pcm_u8 -ar 11025", seconds=0.4, onset=0.0, pixels="rgb24", matrix="gbr"),
        (Film(frames=12, patches=quarters(within=10), sound=Sound(1, onset=None)),),
    ),
    Case(
        "raw.nut.avi",
        "uncompressed",
        film("-c:v rawvideo", sound="-c:a pcm_s16le", pixels="uyvy422", seconds=1.5, **_SD),
        (Film(frames=45, patches=quarters(1.4), sound=_SOUND),),
    ),
    Case(
        "cover_art.mp4",
        "cover art",
        with_files(
            "-i {cover_jpg} -map 0 -map 1 -map 2 -disposition:v:1 attached_pic",
            X264,
            "-c:v:1 copy -c:a aac",
            cover_jpg=_COVER,
        ),
        (_WHOLE,),
    ),
    Case("subtitle.mkv", "subtitles", with_files("-i {text_srt}", X264, "-c:a aac -c:s srt", text_srt=_SRT), (_WHOLE,)),
    Case(
        "subtitle.mp4",
        "subtitles",
        with_files("-i {text_srt}", X264, "-c:a aac -c:s mov_text", text_srt=_SRT),
        (_WHOLE,),
    ),
    Case("timecode.mov", "timecode", film("-timecode 01:00:00:00", X264), (_WHOLE,)),
    Case(
        "chapters.mp4",
        "chapters",
        with_files("-i {info_txt} -map_metadata 2", X264, "-c:a aac", info_txt=_CHAPTERS),
        (_WHOLE,),
    ),
    Case(
        "location.mov",
        "private tags",
        film(
            X264, sound="-c:a aac -metadata location=+59.33+018.06/ -metadata make=Secret -movflags use_metadata_tags"
        ),
        (_WHOLE,),
    ),
    Case(
        "two_pictures.mkv",
        "several tracks",
        with_files(
            picture(width=64, height=48),
            "-map 2 -map 0 -map 1 -disposition:v:0 0 -disposition:v:1 default",
            X264,
            "-c:a aac",
        ),
        (_WHOLE,),
    ),
    Case("wrong_extension.avi", "wrong extension", film(X264, sound="-c:a aac -f mp4"), (_WHOLE,)),
    Case(
        "animated.mp4",
        "animated",
        made(picture(fps="10"), "-f gif"),
        (Film(seconds=2, frames=20, patches=quarters(within=8)),),
    ),
)

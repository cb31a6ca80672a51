"""Which demuxers and decoders may open a customer's file (by ffmpeg's names), and limits on what is in it. Data.

Everything that browsers, phones, cameras and editors write. No playlists (HLS, DASH, concat, SDP), because they name
other files. No decoder that uploads do not need: each one parses untrusted bytes, and those that were attacked through
thumbnailers were rare ones (MagicYUV, TTY, XBIN).
"""

DEMUXERS: tuple[str, ...] = (
    "mov",
    "mp4",
    "m4a",
    "3gp",
    "3g2",
    "mj2",
    "matroska",
    "webm",
    "avi",
    "flv",
    "mpegts",
    "mpeg",
    "mpegvideo",
    "m4v",
    "asf",
    "ogg",
    "mp3",
    "aac",
    "wav",
    "flac",
    "gif",
    "gif_pipe",
    "png_pipe",
    "jpeg_pipe",
    "webp_pipe",
    "webp_anim",
    "bmp_pipe",
    "tiff_pipe",
    "apng",
)
DECODERS: tuple[str, ...] = (
    # video
    "h264",
    "hevc",
    "vp8",
    "libvpx",
    "vp9",
    "libvpx-vp9",
    "av1",
    "libdav1d",
    "libaom-av1",
    "mpeg4",
    "msmpeg4v2",
    "msmpeg4",
    "mpeg1video",
    "mpeg2video",
    "mjpeg",
    "prores",
    "dnxhd",
    "theora",
    "libtheora",
    "wmv1",
    "wmv2",
    "wmv3",
    "vc1",
    "h263",
    "flv",
    "dvvideo",
    "rawvideo",
    "qtrle",
    "ffv1",
    # images
    "png",
    "apng",
    "gif",
    "webp",
    "webp_anim",
    "bmp",
    "tiff",
    # audio
    "aac",
    "aac_latm",
    "mp3",
    "mp3float",
    "mp2",
    "mp2float",
    "mp1",
    "mp1float",
    "ac3",
    "ac3_fixed",
    "eac3",
    "opus",
    "libopus",
    "vorbis",
    "libvorbis",
    "flac",
    "alac",
    "wmav1",
    "wmav2",
    "wmapro",
    "amrnb",
    "amrwb",
    "libopencore_amrnb",
    "libopencore_amrwb",
    "pcm_s16le",
    "pcm_s16be",
    "pcm_s24le",
    "pcm_s24be",
    "pcm_s32le",
    "pcm_s32be",
    "pcm_f32le",
    "pcm_f32be",
    "pcm_f64le",
    "pcm_u8",
    "pcm_s8",
    "pcm_alaw",
    "pcm_mulaw",
    "adpcm_ima_wav",
    "adpcm_ms",
    "adpcm_ima_qt",
)

MAX_PIXELS = 8192 * 8192
"""Of one frame of film; more needs gigabytes of memory to decode."""
MAX_IMAGE_PIXELS = 16384 * 16384
"""Of an image: phones take photographs of 200 megapixels. Most formats are decoded by strips, JPEG at a smaller
scale."""
MAX_STREAMS = 64
MAX_SECONDS = 24 * 3600
MAX_FPS = 10_000
"""Frames a second; a rate above it is a mistake of the file's writer, and taken for unknown."""
MAX_PAGES = 10_000
"""Frames of an animated image."""

"""Still pictures: an image from an image, or from one frame of a video; posters with placeholder and background.

This room reads `media.created`, `job.created` and `job.control`, owns the Postgres schema `thumbnailer`, and writes
finished files to storage. Untrusted bytes are parsed only in sandboxed children: ffmpeg for frames, libvips for
the rest.
"""

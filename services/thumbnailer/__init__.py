"""The thumbnailer: makes still images, from an image or from one frame of a video. Consumes `job.created`,
`media.created` and `job.control`.

Owns the Postgres schema `thumbnailer` (job queue and outbox) and writes outputs to the storage. Untrusted bytes are
parsed only in sandboxed children: frames by ffmpeg, images by libvips.
"""

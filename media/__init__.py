"""Media files: formats, probing, geometry, colour, the ffmpeg program. Knows files only: no Kafka, Postgres or HTTP.

`sandbox_probe` and `truncation` run inside the sandbox, called through `media.probe.Prober`: no untrusted byte is
parsed in the calling process.
"""

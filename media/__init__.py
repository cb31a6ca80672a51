"""Media files: formats, probing, geometry, colour, the ffmpeg program. Works on files only: no Kafka, Postgres or HTTP.

`sandbox_probe` and `truncation` run inside the sandbox, called through `media.probe.Prober`: the calling
process parses no untrusted bytes.
"""

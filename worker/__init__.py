"""What services that work on files share: worker app, Kafka handlers, job runner, input fetching, progress reports.

The transcoder and the thumbnailer are worker apps; ingest and the shell's local mode use `input` and `settings` alone.
"""

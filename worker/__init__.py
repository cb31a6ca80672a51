"""What the transcoder and the thumbnailer share: worker app, job runner, input fetching, progress reporting."""

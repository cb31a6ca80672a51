"""The schema of ingest, forward only. The previous release has to survive each step."""

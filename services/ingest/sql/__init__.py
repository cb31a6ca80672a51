"""The queries of ingest, by name, one file per noun."""

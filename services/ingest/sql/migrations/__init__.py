"""Migrations of the schema `ingest`, forward only. The previous release must work with each of them."""

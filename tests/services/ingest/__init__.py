"""Tests of ingest: pure deciders, and the service on real Kafka and Postgres."""

"""The outbox, on a real Postgres and a real Kafka."""

"""One package for each thing outside the process: Kafka, Postgres, storage, HTTP, egress, sandbox. Middle layer."""

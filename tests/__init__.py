"""The project's tests. Their folders mirror the packages; `tests.support.servers` says where Kafka and Postgres come from."""

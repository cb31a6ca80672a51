"""The project's tests. They mirror the rooms; `tests.support.servers` says where Kafka and Postgres come from."""

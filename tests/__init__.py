"""The project's tests. They mirror the rooms; `tests.servers` says where Kafka and Postgres come from."""

"""The project's tests, in folders that mirror the packages. `tests.support.servers` provides Kafka and Postgres."""

"""Kafka: topics created from `schemas.topics`, events to records and back, producers, consumers, lag.

It imports FastStream, aiokafka and, of the project, `schemas` alone; it does not depend on what any event means.
"""

"""Kafka as every service sees it: topics made from the table, events in and out, consumers that never lose nor spin.

It imports FastStream, aiokafka and, of the project, `schemas` alone; it does not depend on what any event means.
"""

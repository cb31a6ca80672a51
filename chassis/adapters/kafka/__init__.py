"""Kafka as every service sees it: topics made from the table, events in and out, consumers that never lose nor spin.

This room knows FastStream and aiokafka; of the project it knows `schemas` alone, and nothing of what any event means.
"""

"""Kafka as every service sees it: topics made from the table, events in and out, a consumer that neither loses nor spins.

This room knows FastStream and aiokafka; of the project it knows `schemas` alone, and nothing of what any event means.
"""

"""Kafka in: the handlers that every worker has."""

from worker.handlers import register

__all__ = ["register"]

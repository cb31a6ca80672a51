"""Kafka in: the handlers that every worker has."""

from functools import partial

from worker import handlers

register = partial(handlers.register, service="transcoder")

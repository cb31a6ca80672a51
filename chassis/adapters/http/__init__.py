"""HTTP for every service: one aiohttp application, request bodies, errors, authentication, health, metrics, access log.

It has no business terms; routes come from the services. It uses `schemas` for error codes
and API keys.
"""

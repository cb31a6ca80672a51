"""HTTP for every service: one aiohttp application, request bodies, errors, authentication, health, metrics, access log.

It knows requests and responses and no business term; routes come from the services. It uses `schemas` for error codes
and API keys.
"""

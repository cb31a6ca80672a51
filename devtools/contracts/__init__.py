"""Generates the published contracts from the code: JSON Schemas, AsyncAPI and OpenAPI documents in `schemas/published`.

`python -m devtools.contracts` writes them, `--check` says whether they still fit the code. Handlers are registered on
brokers that never connect; nothing runs.
"""

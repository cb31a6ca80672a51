"""The published contracts, made from the models: JSON Schemas, AsyncAPI and OpenAPI documents in `schemas/published`.

This room describes the other rooms and runs none of them: it registers handlers on brokers that are never connected,
and writes files. `python -m devtools.contracts` writes them, `--check` says whether they still fit the code.
"""

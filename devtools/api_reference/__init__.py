"""docs/api.md: every operation, parameter and option of the OpenAPI document, each with an example that a test runs."""

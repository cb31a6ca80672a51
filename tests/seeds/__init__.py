"""The examples of the documents that define the API, executed."""

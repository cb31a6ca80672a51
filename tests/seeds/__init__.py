"""The examples that the API comes from, executed."""

"""The queries of the catalog, by name: what events write, and what requests read."""

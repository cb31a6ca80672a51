"""What crosses a border: ids, events, topics, API bodies, metadata rules, resources.

Only pydantic models and pure functions. This room imports nothing of the project and does no I/O: time, random
bytes and base addresses come in as arguments.
"""

"""What crosses a process boundary: ids, events, topics, request bodies, responses.

Pydantic models and pure functions: no I/O. Time, random bytes and base addresses are arguments.
"""

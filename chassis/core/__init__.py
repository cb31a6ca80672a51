"""Settings, logs, metrics, ids, retries and asyncio building blocks. The bottom layer: it does no I/O of its own."""

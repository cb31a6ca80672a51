"""Without I/O of their own: settings, logs, metrics, ids, retries and asyncio building blocks. Bottom layer."""

"""Which exceptions are an outage that passes (503, come again) and which are a fault of ours (500)."""

import errno

import asyncpg

from chassis.adapters.storage.errors import StorageFull, StorageUnavailable

RETRY_AFTER_SECONDS = 2
"""Long enough for a pool to reconnect, short enough that a client's first retry often succeeds."""

_POSTGRES = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,  # disk full, out of memory, too many connections
    asyncpg.OperatorInterventionError,  # being stopped or started, a statement cancelled
    asyncpg.ReadOnlySQLTransactionError,  # a primary that has become a replica
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
)
_EXHAUSTED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.EIO})


def is_outage(error: BaseException) -> bool:
    """Whether the same request may well succeed soon without anybody changing the code."""
    if isinstance(error, (*_POSTGRES, StorageFull, StorageUnavailable, ConnectionError, TimeoutError)):
        return True
    if isinstance(error, asyncpg.InterfaceError):
        # asyncpg has one class for "the connection is closed" and for misuse; only the first passes.
        return "clos" in str(error)
    if isinstance(error, asyncpg.InternalClientError):
        # It has said goodbye on an idle connection, and asyncpg still waits for the rest of the sentence (state 2).
        return "another operation (2) is in progress" in str(error)
    return isinstance(error, OSError) and (error.errno in _EXHAUSTED or _is_network(error))


def _is_network(error: OSError) -> bool:
    return error.errno in {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ETIMEDOUT, errno.ECONNREFUSED}

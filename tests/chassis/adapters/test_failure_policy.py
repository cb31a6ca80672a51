"""The failure policy: kinds by type, SQLSTATE and errno, and what follows from them."""

import errno

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError, NotLeaderForPartitionError
from pydantic import ValidationError

from chassis.adapters.failure_policy import FailurePolicy, GiveUp, Rejected, RetryAfter, classify, describe
from chassis.adapters.sandbox.limits import ChildDiskFull
from chassis.adapters.storage import InvalidKey, StorageFull
from schemas.keys import ApiKey

POLICY = FailurePolicy(jitter=lambda: 0.0)

OUTAGES = [
    asyncpg.CannotConnectNowError(),
    asyncpg.TooManyConnectionsError(),
    asyncpg.DiskFullError(),
    asyncpg.QueryCanceledError(),
    asyncpg.SerializationError(),
    asyncpg.DeadlockDetectedError(),
    asyncpg.LockNotAvailableError(),
    asyncpg.ReadOnlySQLTransactionError(),
    asyncpg.ConnectionDoesNotExistError(),
    asyncpg.AdminShutdownError(),
    KafkaConnectionError(),
    NotLeaderForPartitionError(),
    StorageFull("no space left"),
    ConnectionResetError(),
    TimeoutError(),
    OSError(errno.ENOSPC, "no space left on device"),
    ChildDiskFull("No space left on device"),
]
UNEXPECTED = [
    asyncpg.UndefinedTableError("no table"),
    asyncpg.UniqueViolationError("twice"),
    MessageSizeTooLargeError(),
    InvalidKey("../x"),
    OSError(errno.ENOENT, "no such file"),
    KeyError("job"),
]
UNSTORABLE = [
    asyncpg.DataError("value out of int32 range"),
    asyncpg.CharacterNotInRepertoireError("0x00"),
    asyncpg.UntranslatableCharacterError("\\u0000 cannot be converted to text"),
    asyncpg.NumericValueOutOfRangeError("out of range"),
    asyncpg.DatetimeFieldOverflowError("timestamp out of range"),
    asyncpg.ProgramLimitExceededError("index row size 4680 exceeds btree version 4 maximum 2704"),
    asyncpg.StatementTooComplexError("stack depth limit exceeded"),
]


@pytest.mark.parametrize("error", OUTAGES, ids=lambda error: type(error).__name__)
def test_an_outage_is_retried_without_limit_and_never_counts(error: Exception) -> None:
    assert classify(error) == "outage"
    assert POLICY.decide(error, 1_000_000) == RetryAfter(10.0, counts=False)


@pytest.mark.parametrize("error", UNEXPECTED, ids=lambda error: type(error).__name__)
def test_anything_unexpected_gets_five_attempts(error: Exception) -> None:
    decisions = [POLICY.decide(error, failures) for failures in range(1, 6)]
    assert decisions[:4] == [RetryAfter(delay, counts=True) for delay in (0.2, 0.4, 0.8, 1.6)]
    assert decisions[4] == GiveUp("unexpected", f"failed 5 times: {describe(error)}", "unexpected")


def test_a_rejection_is_never_retried() -> None:
    assert POLICY.decide(Rejected("no such project"), 1) == GiveUp("rejected", "no such project", "rejected")


@pytest.mark.parametrize("error", UNSTORABLE, ids=lambda error: type(error).__name__)
def test_what_no_column_can_hold_is_rejected_at_once(error: Exception) -> None:
    assert POLICY.decide(error, 1) == GiveUp("rejected", describe(error), "unstorable")


def test_a_row_that_no_model_can_read_is_rejected_at_once() -> None:
    with pytest.raises(ValidationError) as unreadable:
        ApiKey.model_validate({"id": "key_1"})
    assert classify(unreadable.value) == "rejected"


def test_a_description_can_be_stored_whatever_the_error_quotes() -> None:
    text = describe(ValueError("a\0b \ud800 " + "x" * 10_000))
    assert text.startswith("ValueError: a\\x00b \\ud800 ") and len(text) <= 2010


def test_the_kind_does_not_depend_on_the_words_of_a_message() -> None:
    assert classify(RuntimeError("the connection is closed")) == "unexpected"
    assert classify(asyncpg.UndefinedColumnError("connection closed")) == "unexpected"


def test_jitter_shortens_a_delay_by_at_most_thirty_percent() -> None:
    policy = FailurePolicy(first_delay_s=1.0, jitter=lambda: 1.0)
    assert policy.delay_s(1) == pytest.approx(0.7)

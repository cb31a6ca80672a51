"""What the customer sees of a failure of the store: a published code and a sentence that names the bucket (pure)."""

from collections.abc import Mapping
from typing import Literal

from chassis.adapters.s3.errors import S3Error, S3Reason
from schemas.faults import Fault, FaultKind

Direction = Literal["read", "write"]
_FILE = {"read": "the input", "write": "the output"}
_FAULTS: Mapping[S3Reason, tuple[FaultKind, str]] = {
    "forbidden": ("storage_forbidden", "The store may not be contacted. {detail}"),
    "host_not_found": (
        "storage_unreachable",
        "The endpoint of the store names a host that cannot be found, or whose addresses are private or reserved.",
    ),
    "unreachable": ("storage_unreachable", "The store cannot be reached, or broke off the connection."),
    "tls_failed": ("storage_unreachable", "The store has no valid certificate, so that no connection is secure."),
    "timeout": ("storage_unreachable", "The store did not answer in time, or sent too slowly."),
    "unavailable": ("storage_unreachable", "The store fails, or limits requests ({code})."),
    "damaged": ("storage_unreachable", "What the store sends of {file} does not have the checksum that it says."),
    "bucket_not_found": ("storage_bucket_not_found", "The store has no bucket {bucket}."),
    "object_not_found": ("storage_object_not_found", "The bucket {bucket} has no object with this key."),
    "object_vanished": ("storage_object_vanished", "The object was deleted after {received} bytes had been read."),
    "object_changed": ("storage_object_changed", "The object was replaced after {received} bytes had been read."),
    "object_archived": ("storage_object_archived", "The object is in an archive of the bucket {bucket}."),
    "denied": ("storage_denied", "The store does not allow these credentials to {direction} {file} in {bucket}."),
    "credentials": ("storage_credentials_invalid", "The store does not accept the credentials ({code})."),
    "wrong_region": ("storage_wrong_region", "The bucket {bucket} is in another region{region}."),
    "clock_skew": (
        "storage_clock_skew",
        "The store refuses requests of this time: its clock and that of this server differ by more than it allows.",
    ),
    "conflict": ("storage_conflict", "Others write the object at the same time, each time that it was tried."),
    "full": ("storage_full", "The bucket {bucket} has no space left for the output ({code})."),
    "too_large": ("input_too_large", "The object is larger than the limit of {limit:.0f} bytes."),
    "empty": ("input_empty", "The object has no bytes."),
    "refused": ("storage_refused", "The store refused to {direction} {file} in {bucket}: {code}."),
}


class StoreFailed(Exception):
    """The store of a job failed. `reason` and `retriable` are those of the S3Error, `fault` is for the customer."""

    retry_after_s: float | None = None

    def __init__(self, reason: str, fault: Fault, *, retriable: bool = False, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.fault = fault
        self.retriable = retriable

    def given_up(self) -> "StoreFailed":
        """The same, which is not tried again."""
        return StoreFailed(self.reason, self.fault, detail=str(self))


def store_failed(error: S3Error, direction: Direction, bucket: str) -> StoreFailed:
    """What has become of reading the input, or writing the output, in this bucket."""
    kind, sentence = _FAULTS[error.reason]
    if direction == "write" and error.reason == "too_large":
        kind, sentence = "output_too_large", "The store takes no object as large as the output ({code})."
    facts = {
        "file": _FILE[direction],
        "direction": direction,
        "bucket": bucket,
        "region": f": {error.region}" if error.region else "",
        "code": error.code or error.reason,
        "detail": error.detail or "",
        "limit": error.limit or 0,
        "received": error.received or 0,
    }
    message = sentence.format(**facts).strip()
    return StoreFailed(error.reason, Fault(kind=kind, message=message), retriable=error.retriable, detail=str(error))


def connection_missing(bucket: str) -> StoreFailed:
    """There is nothing with which the bucket could be reached."""
    message = f"The job has no connection by which the bucket {bucket} could be reached: it was deleted, or never set."
    return StoreFailed("connection_missing", Fault(kind="connection_missing", message=message))

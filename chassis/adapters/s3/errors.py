"""Why a request to a customer's store failed: a machine-readable reason and technical facts, no words for people.

Codes: Amazon S3 API Reference, "Error responses"; those of other servers as they were seen.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from aiohttp import ClientConnectorError
from aiohttp import ClientError as HttpError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)

from chassis.adapters.s3.egress_guard import EgressGuard

S3Reason = Literal[
    "forbidden",  # the egress policy refuses the endpoint
    "host_not_found",
    "unreachable",  # no connection, or one that broke
    "tls_failed",
    "timeout",
    "unavailable",  # an error of the store itself, or too many requests
    "bucket_not_found",
    "object_not_found",
    "object_vanished",  # it was there when the read began
    "object_changed",  # another one is there than when the read began
    "object_archived",  # it has to be restored first
    "denied",
    "credentials",  # the key is unknown, or the secret is not that of the key
    "wrong_region",
    "clock_skew",
    "conflict",  # others write the same object at the same time
    "full",
    "too_large",
    "empty",
    "damaged",  # the bytes do not have their checksum
    "refused",  # for another reason, whose code is in `code`
]
_RETRIABLE: frozenset[S3Reason] = frozenset(
    {"host_not_found", "unreachable", "timeout", "unavailable", "conflict", "damaged"}
)
_CODES: Mapping[S3Reason, frozenset[str]] = {
    "bucket_not_found": frozenset({"NoSuchBucket", "InvalidBucketName"}),
    "object_not_found": frozenset({"NoSuchKey", "NoSuchVersion", "NotFound", "404"}),
    "object_changed": frozenset({"PreconditionFailed", "412"}),
    "object_archived": frozenset({"InvalidObjectState"}),
    "denied": frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "Unauthorized", "403"}),
    "credentials": frozenset(
        {
            *("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidSecurity"),
            *("NotSignedUp", "TokenRefreshRequired", "InvalidClientTokenId", "401"),
        }
    ),
    "wrong_region": frozenset(
        {
            *("PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "InvalidRegionName"),
            *("IllegalLocationConstraintException", "301", "307"),
        }
    ),
    "clock_skew": frozenset({"RequestTimeTooSkewed", "RequestExpired"}),
    "conflict": frozenset({"ConditionalRequestConflict", "OperationAborted", "409"}),
    "full": frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507"}),
    "too_large": frozenset({"EntityTooLarge"}),
    "unavailable": frozenset({"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling"}),
}
_REASONS: Mapping[str, S3Reason] = {code: reason for reason, codes in _CODES.items() for code in codes}
_TOO_MANY_REQUESTS = 429


class S3Error(Exception):
    """A request failed. Of the facts those are set that belong to the reason.

    `code` is S3's own, `region` that in which the store says the bucket is, `detail` the explanation of the egress
    policy. None of them, nor `str()`, has a credential.
    """

    retry_after_s: float | None = None

    def __init__(
        self,
        reason: S3Reason,
        *,
        code: str | None = None,
        region: str | None = None,
        limit: float | None = None,
        received: int | None = None,
        detail: str | None = None,
    ) -> None:
        facts = {"code": code, "region": region, "limit": limit, "received": received, "detail": detail}
        shown = (f"{name}={fact}" for name, fact in facts.items() if fact is not None)
        super().__init__(" ".join([reason, *shown]))
        self.reason: S3Reason = reason
        self.code = code
        self.region = region
        self.limit = limit
        self.received = received
        self.detail = detail

    @property
    def retriable(self) -> bool:
        """Whether the same request may succeed later, without anybody changing anything."""
        return self.reason in _RETRIABLE


class NoCredentials(ConnectionError):
    """This installation has no credentials of its own, where its settings say that it has.

    A ConnectionError, because it counts as an outage: once they are there, the same work succeeds.
    """


@contextmanager
def s3_errors(guard: EgressGuard) -> Iterator[None]:
    """Turns the errors of aiobotocore in the block into S3Error, or OSError for an outage of ours."""
    try:
        yield
    except (BotoCoreError, ClientError, HttpError, TimeoutError, ConnectionError) as error:
        raise _translated(error, guard) from error


def _translated(error: Exception, guard: EgressGuard) -> Exception:
    if isinstance(error, ClientError):
        return _from_response(error.response)
    refusal = guard.take()
    if refusal is not None:
        kind, found = refusal
        return found if isinstance(found, OSError) else S3Error(kind, detail=found)
    if isinstance(error, FlexibleChecksumError):
        return S3Error("damaged")
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return NoCredentials("DEFAULT_S3_BUCKETS is set, and no credentials are where AWS tools look for them")
    if isinstance(error, SSLError):
        return S3Error("tls_failed")
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return S3Error("timeout")
    cause = getattr(error, "kwargs", {}).get("error", error)
    if isinstance(cause, ClientConnectorError) and guard.lacks(cause.os_error):
        return cause.os_error
    return S3Error("unreachable", code=type(error).__name__)


def _from_response(response: Mapping[str, Any]) -> S3Error:
    details, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
    code, status = str(details.get("Code", "unknown"))[:80], int(meta.get("HTTPStatusCode", 0))
    headers = meta.get("HTTPHeaders", {})
    region = str(details.get("Region") or headers.get("x-amz-bucket-region") or "")[:40] or None
    reason = _REASONS.get(code)
    if reason is None and (status >= 500 or status == _TOO_MANY_REQUESTS):
        reason = "unavailable"
    return S3Error(reason or "refused", code=code, region=region if reason == "wrong_region" else None)

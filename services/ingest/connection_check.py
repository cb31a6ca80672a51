"""Tries a connection before it is stored, and says which field is wrong: one cheap request, no retries.

Without a bucket the buckets are listed. That this is not allowed is no fault: the store has then accepted the
credentials, and many keys are for single buckets.
"""

import asyncio
from typing import TYPE_CHECKING

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.s3.client import S3Access, open_s3
from chassis.adapters.s3.errors import S3Error, s3_errors
from schemas.explain import render_value
from schemas.faults import FieldFault

if TYPE_CHECKING:
    from services.ingest.connection_rows import StoredConnection

CHECK_SECONDS = 6.0
_NOT_OFFERED = frozenset({"NotImplemented", "MethodNotAllowed", "405", "501"})
_SKEW = "refuses the time of the request: the clock of the store and that of this server differ by too much"


async def check_connection(
    connection: "StoredConnection",
    secret: str,
    bucket: str | None,
    egress: EgressPolicy,
    *,
    timeout_s: float = CHECK_SECONDS,
) -> list[FieldFault]:
    """What is wrong with it; nothing where the store accepts it. Raises OSError for an outage of ours."""
    access = S3Access(connection.endpoint, connection.region, connection.access_key_id, secret)
    try:
        async with asyncio.timeout(timeout_s), open_s3(access, egress, project=connection.project, attempts=1) as store:
            with s3_errors(store.guard):
                if bucket is None:
                    await store.client.list_buckets()
                else:
                    await store.client.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except TimeoutError:
        return [_fault(connection, bucket, "endpoint", f"did not answer within {timeout_s:g} seconds")]
    except S3Error as error:
        found = fault_of(error)
        return [_fault(connection, bucket, *found)] if found else []
    return []


def fault_of(error: S3Error) -> tuple[str, str] | None:
    """The field at fault and the rule (pure); None where the credentials were accepted."""
    match error.reason:
        case "denied":
            return None
        case "credentials" if error.code == "SignatureDoesNotMatch":
            return "secret_access_key", "is not the secret of this access key"
        case "credentials":
            return "access_key_id", f"is not accepted by the store ({error.code})"
        case "wrong_region":
            return "region", f"must be {error.region}" if error.region else f"is not that of the store ({error.code})"
        case "bucket_not_found":
            return "bucket", "does not exist in this store"
        case "clock_skew":
            return "endpoint", _SKEW
        case "forbidden":
            return "endpoint", f"is refused: {error.detail}"
        case "host_not_found":
            return "endpoint", "names a host that cannot be found, or whose addresses are private or reserved"
        case "tls_failed":
            return "endpoint", "has no valid certificate"
        case "unreachable":
            return "endpoint", f"cannot be reached, or does not speak the API of S3 ({error.code})"
        case "timeout":
            return "endpoint", "did not answer in time"
        case "refused" if error.code in _NOT_OFFERED:
            return None
        case _:
            return "endpoint", f"does not answer as a store with the API of S3 does ({error.code})"


def _fault(connection: "StoredConnection", bucket: str | None, field: str, rule: str) -> FieldFault:
    shown = {
        "endpoint": connection.endpoint,
        "region": connection.region,
        "access_key_id": connection.access_key_id,
        "bucket": bucket,
    }
    # Without an endpoint the store is AWS, whose hosts are named by region.
    if field == "endpoint" and connection.endpoint is None and rule.startswith("names a host"):
        field, rule = "region", "is not known to AWS, or its hosts cannot be found"
    return FieldFault(field=field, rule=rule, value=render_value(shown[field]) if field in shown else "***")

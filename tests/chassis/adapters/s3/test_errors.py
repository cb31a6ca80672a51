"""Responses of stores as AWS documents them, and what becomes of them; endpoints that must not be contacted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.s3.client import MAX_BODY_BYTES, S3Access, S3Store, open_s3
from chassis.adapters.s3.errors import S3Error, s3_errors
from chassis.core.concurrency import abandon_after
from tests.support.s3_answers import Answers

LOOPBACK = EgressPolicy((ip_network("127.0.0.0/8"),))


@asynccontextmanager
async def opened(url: str, policy: EgressPolicy | None = LOOPBACK) -> AsyncIterator[S3Store]:
    access = S3Access(url, "us-east-1", "AKIDEXAMPLE", "the-secret-of-it")
    async with open_s3(access, policy, project="prj_1", attempts=1) as store:
        yield store


async def error_of(url: str, policy: EgressPolicy | None = LOOPBACK) -> S3Error:
    with pytest.raises(S3Error) as failed:
        async with opened(url, policy) as store:
            with s3_errors(store.guard):
                await abandon_after(60, store.client.get_object(Bucket="uploads", Key="clip.mov"))
    assert "the-secret-of-it" not in f"{failed.value} {failed.value.__cause__}"
    return failed.value


@pytest.mark.parametrize(
    ("status", "code", "reason", "retriable"),
    [
        (404, "NoSuchBucket", "bucket_not_found", False),
        (404, "NoSuchKey", "object_not_found", False),
        (403, "AccessDenied", "denied", False),
        (403, "InvalidAccessKeyId", "credentials", False),
        (403, "SignatureDoesNotMatch", "credentials", False),
        (400, "ExpiredToken", "credentials", False),
        (403, "RequestTimeTooSkewed", "clock_skew", False),
        (400, "AuthorizationHeaderMalformed", "wrong_region", False),
        (403, "InvalidObjectState", "object_archived", False),
        (412, "PreconditionFailed", "object_changed", False),
        (503, "SlowDown", "unavailable", True),
        (500, "SomethingNew", "unavailable", True),
        (429, "SomethingNew", "unavailable", True),
        (507, "XMinioStorageFull", "full", False),
        (400, "SomethingNew", "refused", False),
    ],
)
async def test_each_cause_has_its_own_reason(
    answers: Answers, status: int, code: str, reason: str, retriable: bool
) -> None:
    answers.error(status, code)
    error = await error_of(answers.url)
    assert (error.reason, error.code, error.retriable) == (reason, code, retriable)


async def test_a_wrong_region_says_which_is_right(answers: Answers) -> None:
    answers.error(400, "AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>")
    assert (await error_of(answers.url)).region == "eu-central-1"
    answers.error(301, "PermanentRedirect", x_amz_bucket_region="eu-west-3", Location="http://10.0.0.1/elsewhere")
    error = await error_of(answers.url)
    assert (error.reason, error.region) == ("wrong_region", "eu-west-3")


async def test_redirects_are_not_followed(answers: Answers) -> None:
    answers.status, answers.headers = 302, {"Location": f"{answers.url}/elsewhere"}
    await error_of(answers.url)
    assert [(request.method, request.path) for request in answers.requests] == [("GET", "/uploads/clip.mov")]


async def test_what_is_no_answer_of_a_store_is_an_error(answers: Answers, unused_tcp_port: int) -> None:
    answers.status, answers.body = 404, b"<html>not here</html>"
    assert (await error_of(answers.url)).reason in ("object_not_found", "refused")
    error = await error_of(f"http://127.0.0.1:{unused_tcp_port}")
    assert (error.reason, error.retriable) == ("unreachable", True)


async def test_an_error_that_is_too_large_is_not_read(answers: Answers) -> None:
    answers.status, answers.body = 400, b"x" * (MAX_BODY_BYTES + 1)
    assert (await error_of(answers.url)).reason == "unreachable"


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:9",
        "http://a_b.example.com",
        "http://localhost",
        "https://169.254.169.254",
        "http://[::1]",
        "http://example.com:6379",
    ],
)
async def test_a_forbidden_endpoint_is_refused_by_its_text(endpoint: str) -> None:
    error = await error_of(endpoint, EgressPolicy(()))
    assert (error.reason, error.retriable) == ("forbidden", False)


async def test_a_name_with_a_private_address_is_not_contacted(answers: Answers) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    port = answers.url.rpartition(":")[2]
    policy = EgressPolicy((), resolve=resolve, not_found_s=0.0)
    error = await error_of(f"http://store.example.com:{port}", policy)
    assert error.reason == "host_not_found" and not answers.requests


async def test_a_name_is_looked_up_by_the_policy(answers: Answers) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        assert host == "store.example.com"
        return ["127.0.0.1"]

    port = answers.url.rpartition(":")[2]
    answers.error(403, "AccessDenied")
    policy = EgressPolicy((ip_network("127.0.0.0/8"),), resolve=resolve)
    assert (await error_of(f"http://store.example.com:{port}", policy)).reason == "denied"
    assert answers.requests[0].headers["Host"] == f"store.example.com:{port}"


async def test_nothing_of_the_environment_is_used_for_a_customer_s_store(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers.error(403, "AccessDenied")
    for name in ("HTTP_PROXY", "http_proxy", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOFTHEINSTALLATION")
    assert (await error_of(answers.url)).reason == "denied"
    assert "Credential=AKIDEXAMPLE/" in answers.requests[0].headers["Authorization"]

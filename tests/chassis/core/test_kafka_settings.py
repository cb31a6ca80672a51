"""Wrong settings of the connection to Kafka: each is refused by name, before anything connects."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from chassis.adapters.kafka.connection import configured
from chassis.core.kafka_settings import KafkaSettings
from chassis.core.settings import CommonSettings, SettingsError, describe, load
from tests.support.certificates import Authority

SASL = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"}
OAUTH = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "OAUTHBEARER"}
LOGIN = {"KAFKA_SASL_USERNAME": "bitmill", "KAFKA_SASL_PASSWORD": "hunter2"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.upper().startswith("KAFKA_")]:
        monkeypatch.delenv(name)
    return monkeypatch


def problem(environment: pytest.MonkeyPatch, variables: Mapping[str, str]) -> str:
    """The sentence with which these variables are refused."""
    for name, value in variables.items():
        environment.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        configured(load(KafkaSettings))
    assert len(raised.value.problems) == 1
    assert "hunter2" not in raised.value.problems[0]
    return raised.value.problems[0]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        (SASL, "KAFKA_SASL_USERNAME (or KAFKA_SASL_USERNAME_FILE) is required by the login SCRAM-SHA-512"),
        (SASL | {"KAFKA_SASL_USERNAME": "a"}, "KAFKA_SASL_PASSWORD (or KAFKA_SASL_PASSWORD_FILE) is required"),
        (SASL | LOGIN | {"KAFKA_SASL_PASSWORD_FILE": "/x"}, "KAFKA_SASL_PASSWORD_FILE are both set"),
        (LOGIN, "KAFKA_SECURITY_PROTOCOL is PLAINTEXT, which sends neither: set it to SASL_SSL"),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL must be one of 'PLAINTEXT', 'SSL'"),
        ({"KAFKA_SSL_CA_FILE": "/x"}, "KAFKA_SECURITY_PROTOCOL is PLAINTEXT, which is not encrypted"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_KEY_FILE": "/x"}, "without KAFKA_SSL_CERTIFICATE_FILE"),
        (OAUTH, "needs one of KAFKA_OAUTH_TOKEN_FILE and KAFKA_OAUTH_TOKEN_URL"),
        (OAUTH | {"KAFKA_OAUTH_TOKEN_URL": "https://id.example"}, "KAFKA_OAUTH_CLIENT_ID is required"),
        (
            OAUTH | {"KAFKA_OAUTH_TOKEN_URL": "https://id.example", "KAFKA_OAUTH_CLIENT_ID": "a"},
            "KAFKA_OAUTH_CLIENT_SECRET (or KAFKA_OAUTH_CLIENT_SECRET_FILE) is required",
        ),
        (OAUTH | {"KAFKA_OAUTH_TOKEN_FILE": "/no/such"}, "KAFKA_OAUTH_TOKEN_FILE: /no/such cannot be read: No such"),
        (
            SASL | {"KAFKA_SASL_USERNAME": "a", "KAFKA_SASL_PASSWORD_FILE": "/no/such"},
            "KAFKA_SASL_PASSWORD_FILE: /no/such cannot be read: No such file",
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CA_FILE": "/no/such"},
            "KAFKA_SSL_CA_FILE: /no/such cannot be read: No such file",
        ),
    ],
)
def test_a_wrong_combination_is_refused_by_name(
    environment: pytest.MonkeyPatch, variables: Mapping[str, str], named: str
) -> None:
    assert named in problem(environment, variables)


def test_files_that_are_no_certificates_are_refused_by_name(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a certificate")
    variables = {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CA_FILE": str(tmp_path / "text")}
    assert "has no certificate in PEM format" in problem(environment, variables)


def test_a_key_that_does_not_fit_is_refused_by_name(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    variables = {
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CA_FILE": str(authority.file),
        "KAFKA_SSL_CERTIFICATE_FILE": str(authority.sign("one").certificate),
        "KAFKA_SSL_KEY_FILE": str(authority.sign("two").key),
    }
    assert "must be a certificate and its own key" in problem(environment, variables)


def test_an_encrypted_key_needs_its_password(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    both = authority.sign("one", password="hunter2").both
    variables = {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CERTIFICATE_FILE": str(both)}
    assert "KAFKA_SSL_KEY_PASSWORD is not set" in problem(environment, variables)
    environment.setenv("KAFKA_SSL_KEY_PASSWORD", "hunter2")
    assert configured(load(KafkaSettings)).protocol == "SSL"


def test_secrets_are_not_shown(environment: pytest.MonkeyPatch) -> None:
    for name, value in (SASL | LOGIN).items():
        environment.setenv(name, value)
    settings = load(KafkaSettings)
    assert "hunter2" not in f"{settings!r} {configured(settings)!r}"
    shown = {info.env: info.secret for info in describe(CommonSettings) if info.env.startswith("KAFKA_")}
    assert shown["KAFKA_SASL_PASSWORD"] and shown["KAFKA_OAUTH_CLIENT_SECRET"] and shown["KAFKA_SSL_KEY_PASSWORD"]
    assert not shown["KAFKA_SASL_USERNAME"]

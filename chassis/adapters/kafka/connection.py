"""The connection to Kafka: one description that every client of a process uses (consumers, producers, admin, lag).

Where a connection is expected, the text `host:port` stands for one without TLS and login.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import SecretStr

from chassis.adapters.kafka.tokens import TokenEndpoint, TokenFile
from chassis.core.kafka_settings import KafkaSettings
from chassis.core.settings import SettingsError


@dataclass(frozen=True)
class KafkaConnection:
    """Where Kafka is and how to log in. `security` are the arguments of aiokafka's clients for TLS and login."""

    bootstrap: str
    security: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of any client of aiokafka: address, TLS and login."""
        return {"bootstrap_servers": self.bootstrap, **self.security}

    @property
    def protocol(self) -> str:
        return str(self.security.get("security_protocol", "PLAINTEXT"))

    @property
    def mechanism(self) -> str:
        """The mechanism of the login; only of interest where the protocol has one."""
        return str(self.security.get("sasl_mechanism", "PLAIN"))


Kafka: TypeAlias = KafkaConnection | str


def connection(kafka: Kafka) -> KafkaConnection:
    """The connection; a text is the address of a Kafka without TLS and login."""
    return KafkaConnection(kafka) if isinstance(kafka, str) else kafka


def configured(settings: KafkaSettings) -> KafkaConnection:
    """The connection of the settings. Reads files; raises SettingsError where one cannot be used."""
    security: dict[str, Any] = {"security_protocol": settings.kafka_security_protocol}
    if settings.kafka_uses_tls:
        security["ssl_context"] = _tls(settings)
    if settings.kafka_uses_sasl:
        security |= _login(settings)
    return KafkaConnection(settings.kafka_bootstrap_servers, security)


def _login(settings: KafkaSettings) -> dict[str, Any]:
    if settings.kafka_sasl_mechanism == "OAUTHBEARER":
        return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": _tokens(settings)}
    user = settings.kafka_sasl_username or _text("KAFKA_SASL_USERNAME_FILE", settings.kafka_sasl_username_file)
    password = _secret("KAFKA_SASL_PASSWORD_FILE", settings.kafka_sasl_password, settings.kafka_sasl_password_file)
    return {
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": user,
        "sasl_plain_password": password,
    }


def _tokens(settings: KafkaSettings) -> TokenFile | TokenEndpoint:
    if settings.kafka_oauth_token_file is not None:
        _text("KAFKA_OAUTH_TOKEN_FILE", settings.kafka_oauth_token_file)
        return TokenFile(settings.kafka_oauth_token_file)
    secret = _secret(
        "KAFKA_OAUTH_CLIENT_SECRET_FILE",
        settings.kafka_oauth_client_secret,
        settings.kafka_oauth_client_secret_file,
    )
    return TokenEndpoint(
        settings.kafka_oauth_token_url or "", settings.kafka_oauth_client_id or "", secret, settings.kafka_oauth_scope
    )


def _tls(settings: KafkaSettings) -> ssl.SSLContext:
    ca = settings.kafka_ssl_ca_file
    if ca is not None:
        _text("KAFKA_SSL_CA_FILE", ca)
    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise SettingsError([f"KAFKA_SSL_CA_FILE: {ca} has no certificate in PEM format."]) from None
    context.check_hostname = settings.kafka_ssl_check_hostname
    certificate, key = settings.kafka_ssl_certificate_file, settings.kafka_ssl_key_file
    if certificate is not None:
        _text("KAFKA_SSL_CERTIFICATE_FILE", certificate)
        if key is not None:
            _text("KAFKA_SSL_KEY_FILE", key)
        _load_client_certificate(context, certificate, key, settings.kafka_ssl_key_password)
    return context


def _load_client_certificate(
    context: ssl.SSLContext, certificate: Path, key: Path | None, password: SecretStr | None
) -> None:
    # A function, because OpenSSL would ask on the terminal where a key is encrypted and no password is given.
    text = password.get_secret_value() if password else ""
    try:
        context.load_cert_chain(certificate, key, lambda: text)
    except (ssl.SSLError, ValueError) as error:
        files = f"KAFKA_SSL_CERTIFICATE_FILE {certificate}" + (f" and KAFKA_SSL_KEY_FILE {key}" if key else "")
        raise SettingsError(
            [
                f"{files} cannot be used: they must be a certificate and its own key in PEM format; "
                f"KAFKA_SSL_KEY_PASSWORD is {'set' if password else 'not set'} ({error})."
            ]
        ) from None


def _secret(file_setting: str, given: SecretStr | None, file: Path | None) -> str:
    return given.get_secret_value() if given else _text(file_setting, file)


def _text(setting: str, file: Path | None) -> str:
    """The content of a file that a setting names, without the white space around it."""
    if file is None:
        raise SettingsError([f"{setting} is required."])
    try:
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError([f"{setting}: {file} cannot be read: {reason}."]) from None
    if not text:
        raise SettingsError([f"{setting}: {file} is empty."])
    return text

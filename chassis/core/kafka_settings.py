"""How a process connects to Kafka: addresses, TLS, login. Wrong combinations are refused with the setting's name."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from chassis.core.setting_types import Base, parsed, service_url

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]


class KafkaSettings(Base):
    """The connection to Kafka. Names follow those of Kafka's own clients (`security.protocol`, `sasl.mechanism`)."""

    kafka_bootstrap_servers: str = Field(
        "127.0.0.1:9092", title="Kafka", description="Kafka's bootstrap servers: host:port, separated by commas."
    )
    kafka_security_protocol: SecurityProtocol = Field(
        "PLAINTEXT",
        title="Kafka's protocol",
        description="SSL: TLS. SASL_PLAINTEXT: login without TLS. SASL_SSL: both.",
    )
    kafka_sasl_mechanism: SaslMechanism = Field(
        "PLAIN", title="Kafka's login", description="How to log in, where the protocol is SASL_PLAINTEXT or SASL_SSL."
    )
    kafka_sasl_username: str | None = Field(
        None, title="Kafka's user", description="For the mechanisms PLAIN and SCRAM-SHA-256/512."
    )
    kafka_sasl_username_file: Path | None = Field(
        None,
        title="Kafka's user, from a file",
        description="A file with the user name, instead of KAFKA_SASL_USERNAME.",
    )
    kafka_sasl_password: SecretStr | None = Field(
        None, title="Kafka's password", description="For the mechanisms PLAIN and SCRAM-SHA-256/512."
    )
    kafka_sasl_password_file: Path | None = Field(
        None, title="Kafka's password, from a file", description="A file with it, instead of KAFKA_SASL_PASSWORD."
    )
    kafka_oauth_token_file: Path | None = Field(
        None, title="Token file", description="For OAUTHBEARER: a file with a token, read again for each connection."
    )
    kafka_oauth_token_url: Annotated[str, parsed(service_url("https", "http"))] | None = Field(
        None, title="Token endpoint", description="For OAUTHBEARER, instead of a file: asked with client credentials."
    )
    kafka_oauth_client_id: str | None = Field(
        None, title="Client id", description="For the token endpoint; the grant is client_credentials."
    )
    kafka_oauth_client_secret: SecretStr | None = Field(
        None, title="Client secret", description="For the token endpoint."
    )
    kafka_oauth_client_secret_file: Path | None = Field(
        None, title="Client secret, from a file", description="A file with it, instead of KAFKA_OAUTH_CLIENT_SECRET."
    )
    kafka_oauth_scope: str | None = Field(None, title="Scope", description="The scope asked of the token endpoint.")
    kafka_ssl_ca_file: Path | None = Field(
        None, title="Kafka's CA", description="PEM file of the authorities that sign brokers; the system's if not set."
    )
    kafka_ssl_certificate_file: Path | None = Field(
        None, title="Certificate for Kafka", description="PEM file of the client's certificate chain, for mutual TLS."
    )
    kafka_ssl_key_file: Path | None = Field(
        None, title="Key for Kafka", description="PEM file of that certificate's key; not set: in the same file."
    )
    kafka_ssl_key_password: SecretStr | None = Field(
        None, title="Password of the key", description="Where the key for Kafka is encrypted."
    )
    kafka_ssl_check_hostname: bool = Field(
        True,
        title="Check the broker's name",
        description="Whether its certificate must name the host it is reached at.",
    )

    @property
    def kafka_uses_tls(self) -> bool:
        return self.kafka_security_protocol in ("SSL", "SASL_SSL")

    @property
    def kafka_uses_sasl(self) -> bool:
        return self.kafka_security_protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    @model_validator(mode="after")
    def _check(self) -> "KafkaSettings":
        if self.kafka_uses_sasl and self.kafka_sasl_mechanism == "OAUTHBEARER":
            self._check_token()
        elif self.kafka_uses_sasl:
            self._require("kafka_sasl_username", f"the login {self.kafka_sasl_mechanism}")
            self._require("kafka_sasl_password", f"the login {self.kafka_sasl_mechanism}")
        elif self._given("kafka_sasl_username") or self._given("kafka_sasl_password"):
            raise ValueError(
                f"KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD are set, but KAFKA_SECURITY_PROTOCOL is "
                f"{self.kafka_security_protocol}, which sends neither: set it to SASL_SSL or SASL_PLAINTEXT."
            )
        tls_files = (self.kafka_ssl_ca_file, self.kafka_ssl_certificate_file, self.kafka_ssl_key_file)
        if not self.kafka_uses_tls and any(tls_files):
            raise ValueError(
                f"KAFKA_SSL_… files are set, but KAFKA_SECURITY_PROTOCOL is {self.kafka_security_protocol}, which is "
                "not encrypted: set it to SSL or SASL_SSL."
            )
        if self.kafka_ssl_key_file and not self.kafka_ssl_certificate_file:
            raise ValueError(
                "KAFKA_SSL_KEY_FILE is set without KAFKA_SSL_CERTIFICATE_FILE, the certificate of the key."
            )
        return self

    def _check_token(self) -> None:
        if (self.kafka_oauth_token_file is None) == (self.kafka_oauth_token_url is None):
            raise ValueError("The login OAUTHBEARER needs one of KAFKA_OAUTH_TOKEN_FILE and KAFKA_OAUTH_TOKEN_URL.")
        if self.kafka_oauth_token_url is not None:
            if not self.kafka_oauth_client_id:
                raise ValueError("KAFKA_OAUTH_CLIENT_ID is required by KAFKA_OAUTH_TOKEN_URL.")
            self._require("kafka_oauth_client_secret", "KAFKA_OAUTH_TOKEN_URL")

    def _given(self, name: str) -> bool:
        return bool(getattr(self, name) or getattr(self, f"{name}_file"))

    def _require(self, name: str, by: str) -> None:
        if not self._given(name):
            raise ValueError(f"{name.upper()} (or {name.upper()}_FILE) is required by {by}.")
        if getattr(self, name) and getattr(self, f"{name}_file"):
            raise ValueError(f"{name.upper()} and {name.upper()}_FILE are both set: set one of them.")

"""One request to Kafka, and what its failure means: which setting is wrong, or that Kafka is away.

aiokafka's clients log why they could not connect, and raise an error without the reason.
"""

import ssl
from contextlib import suppress
from dataclasses import dataclass

from aiokafka.conn import create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from chassis.adapters.kafka.connection import KafkaConnection
from chassis.adapters.kafka.log_filters import limit_client_logs

_REQUEST_TIMEOUT_MS = 10_000
_VERIFY_HOSTNAME, _VERIFY_ADDRESS = 62, 64
"""OpenSSL's codes X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""


@dataclass(frozen=True)
class Diagnosis:
    """Why there is no connection. `final` says that only another setting, here or in Kafka, can change it."""

    reason: str
    final: bool = False


async def request_metadata(kafka: KafkaConnection) -> None:
    """Returns once one of the bootstrap servers has answered a request of a client that is logged in.

    Raises the error of the last server; `diagnose` explains it.
    """
    limit_client_logs()
    last: Exception = OSError("no address given")
    for address in kafka.bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            await _request(host.strip("[]"), int(port), kafka)
        except (OSError, KafkaError, ValueError) as error:
            last = error
        else:
            return
    raise last


async def _request(host: str, port: int, kafka: KafkaConnection) -> None:
    conn = await create_conn(
        host, port, client_id="bitmill.wait", request_timeout_ms=_REQUEST_TIMEOUT_MS, **kafka.security
    )
    try:
        # A listener that wants a login answers the first request, about versions, to anybody: this is the second one.
        metadata = await conn.send(MetadataRequest([]))
        if not metadata.brokers and kafka.mechanism == "OAUTHBEARER":
            # aiokafka takes the broker's challenge, which says what is wrong with a token, for the end of the login.
            raise SaslAuthenticationFailed("the broker does not accept the token")
    finally:
        with suppress(OSError):
            await conn.close()


def diagnose(error: Exception, kafka: KafkaConnection) -> Diagnosis:
    """What a failed request means (pure)."""
    protocol = f"KAFKA_SECURITY_PROTOCOL is {kafka.protocol}"
    match error:
        case ssl.SSLCertVerificationError() if error.verify_code in (_VERIFY_HOSTNAME, _VERIFY_ADDRESS):
            return Diagnosis(
                f"the broker's certificate is for another name: {error.verify_message} Correct "
                "KAFKA_BOOTSTRAP_SERVERS or the certificate, or set KAFKA_SSL_CHECK_HOSTNAME to false.",
                final=True,
            )
        case ssl.SSLCertVerificationError():
            return Diagnosis(
                f"the broker's certificate is not trusted: {error.verify_message}. KAFKA_SSL_CA_FILE must name the "
                "authority that signed it.",
                final=True,
            )
        case SaslAuthenticationFailed() if kafka.mechanism == "OAUTHBEARER":
            return Diagnosis(
                "Kafka refuses the token: check KAFKA_OAUTH_TOKEN_FILE or KAFKA_OAUTH_TOKEN_URL, and the token's "
                "issuer, audience and scope.",
                final=True,
            )
        case SaslAuthenticationFailed():
            return Diagnosis(
                "Kafka refuses the login: KAFKA_SASL_USERNAME or KAFKA_SASL_PASSWORD is wrong for the mechanism "
                f"{kafka.mechanism}.",
                final=True,
            )
        case UnsupportedSaslMechanismError():
            return Diagnosis(
                f"Kafka does not offer the login {kafka.mechanism}: set KAFKA_SASL_MECHANISM to one that its listener "
                "has enabled.",
                final=True,
            )
        case IllegalSaslStateError():
            return Diagnosis(
                f"this listener of Kafka has no login, but {protocol}: set it to "
                f"{'SSL' if kafka.protocol == 'SASL_SSL' else 'PLAINTEXT'}.",
                final=True,
            )
        case ssl.SSLError() if "ALERT" in (error.reason or ""):
            return _refused_certificate(str(error.reason))
        case KafkaConnectionError() if isinstance(error.__cause__, ssl.SSLError):
            return _refused_certificate(str(error.__cause__.reason))
        case ssl.SSLError() | ConnectionResetError() if kafka.protocol in ("SSL", "SASL_SSL"):
            return Diagnosis(f"no TLS handshake is possible ({error}): {protocol}, and this port may not be TLS")
        case KafkaConnectionError() if kafka.protocol in ("PLAINTEXT", "SASL_PLAINTEXT"):
            return Diagnosis(
                f"the broker closed the connection: {protocol}, and this listener may want TLS or a login "
                "(SSL, SASL_PLAINTEXT or SASL_SSL), or the broker is stopping"
            )
        case _:
            return Diagnosis(str(error) or type(error).__name__)


def _refused_certificate(reason: str) -> Diagnosis:
    return Diagnosis(
        f"Kafka refuses this client's certificate ({reason}): KAFKA_SSL_CERTIFICATE_FILE must name one that it trusts.",
        final=True,
    )

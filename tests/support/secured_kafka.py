"""Brokers with TLS and logins, for the tests of Kafka's settings."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.adapters.kafka.connection import KafkaConnection, configured
from chassis.core.kafka_settings import KafkaSettings
from embedded.kafka import KafkaServer
from embedded.kafka_login import BrokerSecurity
from tests.support.certificates import Authority

_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_OAUTH = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
ADMIN = "admin"
SUPER_USERS = f"User:{ADMIN};User:ANONYMOUS"
"""ANONYMOUS is the broker itself, on the controller's listener."""


@dataclass(frozen=True)
class SecuredKafka:
    """A running broker, and the settings with which a client connects."""

    bootstrap: str
    settings: Mapping[str, Any]

    def connection(self, **changes: Any) -> KafkaConnection:
        """The connection of the settings with changes, by the names of `KafkaSettings` without `kafka_`."""
        named = {f"kafka_{name}": value for name, value in {**self.settings, **changes}.items()}
        return configured(KafkaSettings(kafka_bootstrap_servers=self.bootstrap, **named))


def password_of(user: str) -> str:
    """The password of a user of `plain_login`."""
    return f"password of {user}"


def plain_login(protocol: str, users: tuple[str, ...], *, mechanisms: str = "PLAIN") -> dict[str, object]:
    """The properties of a listener where `users` log in with PLAIN, or as anybody with an unsigned token."""
    listener = f"listener.name.{protocol.lower()}"
    accepted = " ".join(f'user_{user}="{password_of(user)}"' for user in (ADMIN, *users))
    return {
        "sasl.enabled.mechanisms": mechanisms,
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        f"{listener}.plain.sasl.jaas.config": (
            f'{_PLAIN} required username="{ADMIN}" password="{password_of(ADMIN)}" {accepted};'
        ),
        f"{listener}.oauthbearer.sasl.jaas.config": f'{_OAUTH} required unsecuredLoginStringClaim_sub="{ADMIN}";',
    }


def tls(authority: Authority, *, client_auth: str = "none") -> dict[str, object]:
    """The properties of a listener with TLS, on 127.0.0.1 and with certificates of `authority`."""
    broker = authority.sign("broker", addresses=("127.0.0.1",))
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": broker.both,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": authority.file,
        "ssl.client.auth": client_auth,
    }


@asynccontextmanager
async def secured_kafka(
    folder: Path, protocol: str, properties: Mapping[str, object], **settings: Any
) -> AsyncIterator[SecuredKafka]:
    """A broker whose listener for clients has this protocol and these properties."""
    server = KafkaServer(folder, security=BrokerSecurity(protocol, properties=properties))
    async with server.running(print) as bootstrap:
        yield SecuredKafka(bootstrap, {"security_protocol": protocol, **settings})

"""The login of the embedded Kafka: one user with a random password that only the data folder's owner can read.

SCRAM-SHA-256, and not PLAIN: while Kafka is stopped, another local user can listen on its port. A client that logs in
there by PLAIN sends its password; by SCRAM it proves that it has it, and asks the server for a proof in return.

Kafka keeps the SCRAM credential in its metadata: it is written when the storage is formatted. Storage that an earlier
release formatted gets it at its first start, for which the broker also accepts a one-time PLAIN password.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

USER = "bitmill"
MECHANISM = "SCRAM-SHA-256"
PROTOCOL = "SASL_PLAINTEXT"
_SETUP_USER = "setup"
_CONTROLLER_USER = "controller"
_SCRAM_MODULE = "org.apache.kafka.common.security.scram.ScramLoginModule"
_PLAIN_MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule"


@dataclass(frozen=True)
class KafkaLogin:
    """How a client logs in, in the words of Kafka's clients."""

    username: str
    password: str = field(repr=False)
    mechanism: str = MECHANISM
    protocol: str = PROTOCOL


@dataclass(frozen=True)
class BrokerSecurity:
    """TLS, login and authorization of a broker. `properties` are added to those of `embedded.kafka`.

    `protocol` is that of the listener for clients (`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT`, `SASL_SSL`).
    """

    protocol: str = "PLAINTEXT"
    controller_protocol: str = "PLAINTEXT"
    properties: Mapping[str, object] = field(default_factory=dict)


OPEN = BrokerSecurity()
"""Every local user may connect: for tests."""


def login_required(login: KafkaLogin, setup_password: str | None = None) -> BrokerSecurity:
    """The broker accepts `login` only (pure but for the controller's password, which is another one at each start).

    With `setup_password` it also accepts `setup_client`. The controller's listener is for the broker itself.
    """
    listener = f"listener.name.{PROTOCOL.lower()}"
    properties = {
        "sasl.enabled.mechanisms": MECHANISM,
        "sasl.mechanism.inter.broker.protocol": MECHANISM,
        f"{listener}.{MECHANISM.lower()}.sasl.jaas.config": _jaas(_SCRAM_MODULE, login.username, login.password),
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.controller.plain.sasl.jaas.config": _accepting(_CONTROLLER_USER, new_password()),
    }
    if setup_password is not None:
        properties["sasl.enabled.mechanisms"] = f"{MECHANISM},PLAIN"
        properties[f"{listener}.plain.sasl.jaas.config"] = _accepting(_SETUP_USER, setup_password)
    return BrokerSecurity(PROTOCOL, PROTOCOL, properties)


def setup_client(setup_password: str) -> Mapping[str, object]:
    """The properties of Kafka's own tools for the one-time login."""
    return {
        "security.protocol": PROTOCOL,
        "sasl.mechanism": "PLAIN",
        "sasl.jaas.config": _jaas(_PLAIN_MODULE, _SETUP_USER, setup_password),
    }


def new_password() -> str:
    """256 random bits in letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(32)


def read_login(file: Path) -> KafkaLogin | None:
    """The login whose password is in `file`; None if there is no such file yet."""
    try:
        password = file.read_text().strip()
    except FileNotFoundError:
        return None
    return KafkaLogin(USER, password) if password else None


def _jaas(module: str, user: str, password: str) -> str:
    return f'{module} required username="{user}" password="{password}";'


def _accepting(user: str, password: str) -> str:
    return f'{_PLAIN_MODULE} required username="{user}" password="{password}" user_{user}="{password}";'

"""`bitmill kafka client`: the settings with which a program connects to the Kafka of the running system."""

import argparse
import os
import shlex
from collections.abc import Callable, Mapping

import orjson

from cli import env_file
from cli.args import default_data
from cli.errors import UsageError

_BOOTSTRAP, _PROTOCOL = "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_SECURITY_PROTOCOL"
_MECHANISM, _USER, _PASSWORD = "KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"
_NAMES = (_BOOTSTRAP, _PROTOCOL, _MECHANISM, _USER, _PASSWORD)
_JAAS_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}

Settings = Mapping[str, str]


def run(arguments: argparse.Namespace) -> int:
    """Print the settings in the format that was asked for."""
    print(FORMATS[arguments.format](settings_of(arguments)))
    return 0


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings of the system of `--data`, of the environment, or of the default folder. Raises UsageError."""
    if arguments.data is not None:
        values: Mapping[str, str] = env_file.read(arguments.data)
    else:
        values = os.environ if os.environ.get(_BOOTSTRAP) else env_file.read(default_data())
    if not values.get(_BOOTSTRAP):
        raise UsageError("no system found: name its folder with --data, or set KAFKA_BOOTSTRAP_SERVERS")
    return {name: values[name] for name in _NAMES if values.get(name)}


def as_env(settings: Settings) -> str:
    """Assignments to source in a shell."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in settings.items())


def as_java(settings: Settings) -> str:
    """A properties file for Java clients and Kafka's own tools (`--command-config`)."""
    lines = {"bootstrap.servers": settings[_BOOTSTRAP], "security.protocol": settings.get(_PROTOCOL)}
    if module := _JAAS_MODULES.get(settings.get(_MECHANISM, "")):
        lines["sasl.mechanism"] = settings[_MECHANISM]
        login = f'username="{_quoted(settings.get(_USER, ""))}" password="{_quoted(settings.get(_PASSWORD, ""))}"'
        # Backslashes twice: for the quoted text, and for the properties file.
        lines["sasl.jaas.config"] = f"{module} required {login};".replace("\\", "\\\\")
    return _properties(lines)


def as_librdkafka(settings: Settings) -> str:
    """A properties file for clients that are built on librdkafka, such as kcat (`kcat -F`)."""
    return _properties(
        {
            "bootstrap.servers": settings[_BOOTSTRAP],
            "security.protocol": settings.get(_PROTOCOL),
            "sasl.mechanism": settings.get(_MECHANISM),
            "sasl.username": settings.get(_USER),
            "sasl.password": settings.get(_PASSWORD),
        }
    )


def as_aiokafka(settings: Settings) -> str:
    """The keyword arguments of aiokafka's clients, as JSON."""
    names = {
        _BOOTSTRAP: "bootstrap_servers",
        _PROTOCOL: "security_protocol",
        _MECHANISM: "sasl_mechanism",
        _USER: "sasl_plain_username",
        _PASSWORD: "sasl_plain_password",
    }
    return orjson.dumps({names[name]: value for name, value in settings.items()}).decode()


FORMATS: Mapping[str, Callable[[Settings], str]] = {
    "env": as_env,
    "java": as_java,
    "librdkafka": as_librdkafka,
    "aiokafka": as_aiokafka,
}


def _properties(lines: Mapping[str, str | None]) -> str:
    return "\n".join(f"{name}={value}" for name, value in lines.items() if value)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')

"""A stand-in for `kcat` where it is not installed: writes each line of its input as a record.

python -m tests.support.kcat -F CONFIG -P -t TOPIC [-k KEY] [-H NAME=VALUE]...
"""

import argparse
import asyncio
import sys
from pathlib import Path

from aiokafka import AIOKafkaProducer

_OPTIONS = {
    "bootstrap.servers": "bootstrap_servers",
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
}


async def main(arguments: argparse.Namespace) -> None:
    pairs = [line.split("=", 1) for line in Path(arguments.config).read_text().splitlines() if line.strip()]
    headers = [(name, value.encode()) for name, value in (header.split("=", 1) for header in arguments.headers)]
    async with AIOKafkaProducer(**{_OPTIONS[name]: value for name, value in pairs}) as producer:
        for line in sys.stdin.read().splitlines():
            key = arguments.key.encode() if arguments.key else None
            await producer.send_and_wait(arguments.topic, line.encode(), key=key, headers=headers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="kcat")
    parser.add_argument("-F", dest="config", required=True)
    parser.add_argument("-P", action="store_true", required=True)
    parser.add_argument("-t", dest="topic", required=True)
    parser.add_argument("-k", dest="key")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    asyncio.run(main(parser.parse_args()))

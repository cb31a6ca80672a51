"""TLS: a certificate counts for its name only, and only of a known authority."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chassis.adapters.egress.client import request
from chassis.adapters.egress.errors import RequestError
from chassis.adapters.egress.exchange import ResponseLimits
from chassis.adapters.egress.kept_connections import KeptConnections
from chassis.adapters.egress.policy import EgressPolicy
from tests.chassis.adapters.egress.raw_server import Serve, file, raw_server, respond, unresponsive
from tests.support.event_loop import loop_stalls

NAME = "media.example"
RESPOND = respond("HTTP/1.1 200 OK\r\n\r\nsecret")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for `NAME` that is its own authority, with its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


def policy(trusted: Callable[[], ssl.SSLContext]) -> EgressPolicy:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    return EgressPolicy([ip_network("127.0.0.0/8")], resolve=resolve, tls_context=trusted)


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def get(certificate: Path, name: str, trusted: Callable[[], ssl.SSLContext], serve: Serve = RESPOND) -> bytes:
    async with raw_server(serve, tls=serving(certificate)) as server:
        return await body_of(f"https://{name}:{server.port}/", policy(trusted))


async def body_of(url: str, egress: EgressPolicy) -> bytes:
    body = bytearray()
    async with request("GET", url, egress, ResponseLimits(), project="prj_1") as response:
        while data := await response.read():
            body += data
    return bytes(body)


async def test_a_certificate_of_a_known_authority_for_the_name_is_accepted(certificate: Path) -> None:
    assert await get(certificate, NAME, lambda: ssl.create_default_context(cafile=certificate)) == b"secret"


@pytest.mark.parametrize(
    ("name", "known"), [("other.example", True), (NAME, False)], ids=["another name", "an unknown authority"]
)
async def test_another_certificate_is_refused(certificate: Path, name: str, known: bool) -> None:
    with pytest.raises(RequestError) as raised:
        await get(certificate, name, lambda: ssl.create_default_context(cafile=certificate if known else None))
    assert raised.value.reason == "tls_failed"


async def test_a_large_file_arrives_unchanged(certificate: Path) -> None:
    body = bytes(range(256)) * 20_000
    trusted = ssl.create_default_context(cafile=certificate)
    assert await get(certificate, NAME, lambda: trusted, file(body)) == body


async def test_one_handshake_serves_many_requests(certificate: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: str) -> None:
        while True:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
            await reader.readuntil(b"\r\n\r\n")

    trusted = ssl.create_default_context(cafile=certificate)
    egress, kept = policy(lambda: trusted), KeptConnections()
    async with raw_server(serve, tls=serving(certificate)) as server:
        url = f"https://{NAME}:{server.port}/"
        for _ in range(3):
            async with request("GET", url, egress, ResponseLimits(), project="prj_1", kept=kept) as response:
                assert [await response.read(), await response.read()] == [b"secret", b""]
        kept.close()
        assert server.connections == 1


async def test_a_server_that_never_ends_the_handshake_times_out(certificate: Path) -> None:
    async with raw_server(unresponsive) as server:
        limits = ResponseLimits(connect_s=0.1)
        url = f"https://{NAME}:{server.port}/"
        with pytest.raises(RequestError) as raised:
            async with request("GET", url, policy(ssl.create_default_context), limits, project="prj_1"):
                pass
    assert raised.value.reason == "response_timeout"


def send_tiny_records(listener: socket.socket, context: ssl.SSLContext, records: int) -> None:
    """A response over one connection with one byte in each record, which no TLS library of a server would send."""
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        connection.settimeout(60)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                break
            connection.sendall(outgoing.read())
            incoming.write(connection.recv(65536))
        # The request: a socket that is closed with unread bytes resets the connection.
        connection.sendall(outgoing.read())
        while True:
            with suppress(ssl.SSLWantReadError):
                tls.read(65536)
                break
            incoming.write(connection.recv(65536))
        tls.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % records)
        for _ in range(records):
            tls.write(b"x")
        connection.sendall(outgoing.read())
        connection.recv(65536)


async def test_records_of_one_byte_do_not_stop_the_event_loop(certificate: Path) -> None:
    trusted = ssl.create_default_context(cafile=certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=send_tiny_records, args=(listener, serving(certificate), 100_000))
        thread.start()
        async with loop_stalls() as stalls:
            with pytest.raises(RequestError) as raised:
                await body_of(f"https://{NAME}:{listener.getsockname()[1]}/", policy(lambda: trusted))
        await asyncio.to_thread(thread.join)
    assert raised.value.reason == "tiny_chunks"
    assert stalls.longest_s < 1

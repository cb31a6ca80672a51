"""TLS: a certificate counts for its name only, and only of a known authority."""

import ssl
from collections.abc import Callable
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
from chassis.adapters.egress.policy import EgressPolicy
from tests.chassis.adapters.egress.raw_server import file, raw_server

NAME = "media.example"


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


async def get(certificate: Path, name: str, trusted: Callable[[], ssl.SSLContext]) -> bytes:
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate)

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    policy = EgressPolicy([ip_network("127.0.0.0/8")], resolve=resolve, tls_context=trusted)
    async with raw_server(file(b"secret"), tls=serving) as server:
        url = f"https://{name}:{server.port}/"
        async with request("GET", url, policy, ResponseLimits(), project="prj_1") as response:
            return await response.read()


async def test_a_certificate_of_a_known_authority_for_the_name_is_accepted(certificate: Path) -> None:
    assert await get(certificate, NAME, lambda: ssl.create_default_context(cafile=certificate)) == b"secret"


@pytest.mark.parametrize(
    ("name", "known"), [("other.example", True), (NAME, False)], ids=["another name", "an unknown authority"]
)
async def test_another_certificate_is_refused(certificate: Path, name: str, known: bool) -> None:
    with pytest.raises(RequestError) as raised:
        await get(certificate, name, lambda: ssl.create_default_context(cafile=certificate if known else None))
    assert raised.value.reason == "tls_failed"

"""A Maven repository of the tests, over HTTP or HTTPS, with the faults that networks have."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from embedded.kafka_dist import Jar


@dataclass
class MavenServer:
    """`content` by path. `cut_after` bytes a response breaks off, as often as `cuts` says."""

    base: str = ""
    content: dict[str, bytes] = field(default_factory=dict)
    status: int = 200
    ranges: bool = True
    cuts: int = 0
    cut_after: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Path and `Range` of each."""

    def jar(self, name: str, content: bytes) -> Jar:
        path = f"org/example/{name}/1.0/{name}-1.0.jar"
        self.content[f"/maven/{path}"] = content
        return Jar(path, sha256(content).hexdigest(), len(content))

    async def respond(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.path, request.headers.get("Range", "")))
        content = self.content.get(request.path)
        if content is None or self.status != 200:
            return web.Response(status=self.status if self.status != 200 else 404)
        start = (request.http_range.start or 0) if self.ranges else 0
        response = web.StreamResponse(status=206 if start else 200)
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        rest = content[start:]
        response.content_length = len(rest)
        await response.prepare(request)
        if self.cuts and len(rest) > self.cut_after:
            self.cuts -= 1
            await response.write(rest[: self.cut_after])
            await asyncio.sleep(0.01)  # the bytes leave before the connection does
            assert request.transport
            request.transport.close()
            return response
        await response.write(rest)
        return response


@asynccontextmanager
async def maven_server(certificate: Path | None = None) -> AsyncIterator[MavenServer]:
    """On a free port of loopback; with `certificate` (and its key) over HTTPS."""
    server = MavenServer()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.respond)
    tls = None
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        server.base = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}/maven"
        yield server
    finally:
        await runner.cleanup()


def make_certificate(path: Path) -> Path:
    """A certificate of 127.0.0.1 that is its own authority, as that of a company's proxy, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "proxy of the tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path

"""The addresses at which files are delivered, and their signatures (pure).

The format of signed addresses is that of the API's older generations:
`<base>/<path>?expiry=<unix seconds>&method=get&signature=<base64url without padding>`, the signature being
HMAC-SHA256 over `<path>?expiry=<unix seconds>&method=get`, where `<path>` is `/<project>/<path of the file>`.
"""

import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from hmac import compare_digest
from hmac import new as hmac
from typing import Literal
from urllib.parse import quote

SignatureFault = Literal["signature_missing", "signature_invalid", "signature_expired"]
_METHOD = "get"
_MAX_EXPIRY_DIGITS = 12


@dataclass(frozen=True)
class DeliveryUrls:
    """The addresses of a project's files: `<base>/<project>/<path>`, followed by `?` and what `sign` gives, if any.

    `sign` gets the path from the project on, percent-encoded.
    """

    base: str
    sign: Callable[[str], str] | None = None

    def url(self, project: str, path: str) -> str:
        located = encoded_path(project, path)
        query = f"?{self.sign(located)}" if self.sign else ""
        return f"{self.base.rstrip('/')}{located}{query}"


@dataclass(frozen=True)
class DeliverySigner:
    """Gives the addresses of a project's files, signed if the project's files need it.

    `derive` gives the signing keys for a purpose, the current one first; None where no keys are configured, and then
    nobody can make a valid address of a project with signed delivery. `lifetime`: how long one works.
    """

    base: str
    derive: Callable[[str], Sequence[bytes]] | None
    lifetime: timedelta
    now_s: Callable[[], float] = time.time

    def urls(self, project: str, signed: bool) -> DeliveryUrls:
        keys = self._keys(project)
        if not signed or not keys:
            return DeliveryUrls(self.base)
        key, expiry = keys[0], int(self.now_s() + self.lifetime.total_seconds())
        return DeliveryUrls(self.base, lambda path: signed_query(key, path, expiry))

    def fault(self, project: str, path: str, query: Mapping[str, str]) -> SignatureFault | None:
        """Why the signature in the query string of a request for a file is not accepted; None if it is."""
        if "signature" not in query or "expiry" not in query:
            return "signature_missing"
        expiry, method = query["expiry"], query.get("method", _METHOD)
        # Digits only: the text is signed, and `int` would accept `+1`, ` 1` and `1_0`.
        if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= _MAX_EXPIRY_DIGITS) or method != _METHOD:
            return "signature_invalid"
        located = encoded_path(project, path)
        given = query["signature"].encode()
        if not any(
            compare_digest(_signature(key, located, int(expiry)).encode(), given) for key in self._keys(project)
        ):
            return "signature_invalid"
        return None if int(expiry) >= self.now_s() else "signature_expired"

    def _keys(self, project: str) -> Sequence[bytes]:
        return self.derive(f"delivery:{project}") if self.derive else ()


def encoded_path(project: str, path: str) -> str:
    """`/<project>/<path>`, percent-encoded."""
    return f"/{project}/{quote(path)}"


def signed_query(key: bytes, path: str, expiry: int) -> str:
    """The query string that makes an address valid until `expiry`, in Unix seconds."""
    return f"expiry={expiry}&method={_METHOD}&signature={_signature(key, path, expiry)}"


def _signature(key: bytes, path: str, expiry: int) -> str:
    signed = f"{path}?expiry={expiry}&method={_METHOD}".encode()
    return urlsafe_b64encode(hmac(key, signed, sha256).digest()).decode().rstrip("=")

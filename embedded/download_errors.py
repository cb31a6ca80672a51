"""Why a download failed, in words that say what to do: TLS, proxy, name, connection, status, checksum, disk."""

import errno
import ssl
from pathlib import Path

import aiohttp
from yarl import URL

from embedded.errors import EmbeddedServerError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


class DownloadError(EmbeddedServerError):
    """A file could not be downloaded. The message is the reason; `retry` says whether trying again can help."""

    def __init__(self, reason: str, *, retry: bool) -> None:
        super().__init__(reason)
        self.retry = retry


def from_status(url: URL, status: int) -> DownloadError:
    """The error for a response that has not the file."""
    match status:
        case 401 | 403:
            reason = f"{url.host} refuses access to {url.path} ({status})"
        case 404 | 410:
            reason = f"{url.host} has no file {url.path} ({status})"
        case _:
            reason = f"{url.host} responded to {url.path} with status {status}"
    return DownloadError(reason, retry=status in (408, 425, 429) or status >= 500)


def wrong_checksum(url: URL, expected: str, found: str) -> DownloadError:
    """The error for a file that is not the one that bitmill was tested with."""
    return DownloadError(
        f"what {url.host} sent as {url.path} is another file (its SHA-256 is {found[:16]}… instead of "
        f"{expected[:16]}…): a proxy or a mirror may have replaced it",
        retry=False,
    )


def from_disk(error: OSError, folder: Path) -> DownloadError:
    """The error for a file that could not be written to `folder`."""
    if error.errno in _FULL:
        reason = f"the disk of {folder} is full: free some space, or set XDG_CACHE_HOME to a folder on another disk"
    elif error.errno in _NOT_WRITABLE:
        reason = f"{folder} cannot be written to ({error.strerror}): set XDG_CACHE_HOME to a folder that can"
    else:
        reason = f"{folder} cannot be used: {error.strerror or error}"
    return DownloadError(reason, retry=False)


def from_network(error: Exception, url: URL) -> DownloadError:
    """The error for a request that got no response, or not all of it."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return _untrusted(url, error.certificate_error)
        case aiohttp.ClientConnectorSSLError():
            return DownloadError(f"no TLS connection to {url.host}: {_tls_reason(error.os_error)}", retry=False)
        case aiohttp.ClientHttpProxyError():
            return DownloadError(
                f"the proxy refused the connection to {url.host} with status {error.status}: check the name and "
                "password in HTTPS_PROXY",
                retry=False,
            )
        case aiohttp.ClientProxyConnectionError():
            return DownloadError(
                f"the proxy of HTTP_PROXY or HTTPS_PROXY cannot be reached ({_strerror(error.os_error)}); "
                "NO_PROXY names hosts that need none",
                retry=True,
            )
        case aiohttp.ClientConnectorDNSError():
            return DownloadError(f"the name {url.host} cannot be resolved ({_strerror(error.os_error)})", retry=True)
        case aiohttp.ClientConnectorError():
            return DownloadError(f"{url.host}:{url.port} cannot be reached: {_strerror(error.os_error)}", retry=True)
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return DownloadError(f"{url.host} does not respond", retry=True)
        case aiohttp.InvalidURL():
            return DownloadError(f"{error} is not a URL that can be fetched", retry=False)
        case _:
            text = str(error) or type(error).__name__
            return DownloadError(f"the connection to {url.host} broke off ({text})", retry=True)


def _untrusted(url: URL, error: Exception) -> DownloadError:
    reason = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else str(error)
    return DownloadError(
        f"the TLS certificate of {url.host} is not trusted ({reason}): if a proxy of yours signs connections, set "
        "SSL_CERT_FILE to the certificate of its authority",
        retry=False,
    )


def _tls_reason(error: Exception) -> str:
    return (error.reason if isinstance(error, ssl.SSLError) else None) or str(error)


def _strerror(error: OSError) -> str:
    return error.strerror or str(error)

"""Tokens for Kafka's login OAUTHBEARER: from a file that something else renews, or from a token endpoint.

A connection sends its token once, when it is opened. A broker with `connections.max.reauth.ms` closes the connection
when that time is over, and aiokafka opens another one with a new token.
"""

import asyncio
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import aiohttp
from aiokafka.abc import AbstractTokenProvider

_REQUEST_SECONDS = 10.0
_MARGIN = 0.2
"""The part of a token's life that is left when it is replaced."""


class TokenUnavailable(OSError):
    """No token could be had. An OSError, because aiokafka takes that for a failed connection and tries again."""


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types
    """The token in a file, which is read for each connection: a projected service account token, for example."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def token(self) -> str:
        try:
            text = self._file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise TokenUnavailable(f"KAFKA_OAUTH_TOKEN_FILE: {self._file} cannot be read: {error}") from None
        if not text:
            raise TokenUnavailable(f"KAFKA_OAUTH_TOKEN_FILE: {self._file} is empty")
        return text


class TokenEndpoint(AbstractTokenProvider):  # type: ignore[misc]
    """Tokens of an endpoint by the grant client_credentials (RFC 6749, 4.4), kept until most of their life is over.

    The client authenticates with HTTP Basic (RFC 6749, 2.3.1). `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        scope: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        login = b64encode(f"{client_id}:{client_secret}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}"}
        self._body = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        self._clock = clock
        self._token = ""
        self._replace_at = 0.0
        self._requesting = asyncio.Lock()

    async def token(self) -> str:
        async with self._requesting:  # many connections are opened at once; one request is enough
            if not self._token or self._clock() >= self._replace_at:
                await self._request()
            return self._token

    async def _request(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
                session.post(self._url, data=self._body, headers=self._headers, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise TokenUnavailable(f"KAFKA_OAUTH_TOKEN_URL responded with {response.status}, see {_HINT}")
                answer = await response.json(content_type=None)
            token, seconds = answer["access_token"], float(answer.get("expires_in", 60))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise TokenUnavailable(f"KAFKA_OAUTH_TOKEN_URL does not respond: {type(error).__name__}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise TokenUnavailable("KAFKA_OAUTH_TOKEN_URL did not respond with an access_token") from None
        self._token = str(token)
        self._replace_at = self._clock() + seconds * (1 - _MARGIN)


_HINT = "KAFKA_OAUTH_CLIENT_ID, KAFKA_OAUTH_CLIENT_SECRET and KAFKA_OAUTH_SCOPE"

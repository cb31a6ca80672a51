"""`ittybit webhooks listen`: a receiver on this machine that verifies webhooks and prints them."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from hmac import compare_digest
from typing import Any

import orjson
from aiohttp import web

from cli.errors import CliError, UsageError
from cli.parallel import run_loop
from cli.reporter import Reporter, open_reporter
from cli.safe_text import printable, printable_lines
from services.notifier.signing import InvalidSecret, body_signature, hmac_key, standard_signature

TOLERANCE_S = 300
"""How far the time of a webhook may be from this machine's clock: as Standard Webhooks' own libraries."""
MAX_BYTES = 4 * 1024 * 1024


def run(arguments: argparse.Namespace) -> int:
    """Until Ctrl-C, or `--count` webhooks; then status 1 if one of them was not genuine."""
    secret = arguments.secret or os.environ.get("ITTYBIT_WEBHOOK_SECRET")
    if secret:
        try:
            hmac_key(secret)
        except InvalidSecret as error:
            raise UsageError(f"--secret {error}") from None
    with open_reporter(arguments, sys.stdout, sys.stderr, bars=False) as reporter:
        return run_loop(_listen(arguments, secret, reporter))


def fault(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str | None:
    """Why a webhook is not genuine; None if it is (pure). `headers` by their names in lower case.

    Either of the two signatures proves it: that of Standard Webhooks, with its time, or `Ittybit-Signature`.
    """
    id, sent, signatures = (headers.get(f"webhook-{name}") for name in ("id", "timestamp", "signature"))
    if id and sent and signatures:
        if not (sent.isascii() and sent.isdecimal() and len(sent) < 16):
            return "webhook-timestamp is no time"
        if "." in id or not _any_equal(standard_signature(hmac_key(secret), id, int(sent), body), signatures.split()):
            return "the signature does not match: another secret, or a changed body"
        if abs(now - int(sent)) > TOLERANCE_S:
            return f"it was sent {now - int(sent):.0f} s ago by this clock: a replay, or a wrong clock"
        return None
    if older := headers.get("ittybit-signature"):
        matches = _any_equal(body_signature(secret, body), [older])
        return None if matches else "Ittybit-Signature does not match: another secret, or a changed body"
    return "it has no signature"


def _any_equal(expected: str, given: Sequence[str]) -> bool:
    return any(compare_digest(expected.encode(), each.encode()) for each in given)


async def _listen(arguments: argparse.Namespace, secret: str | None, reporter: Reporter) -> int:
    ended, statuses = asyncio.Event(), list[bool | None]()

    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        wrong = fault(secret, headers, body, time.time()) if secret else None
        verified = None if not secret else wrong is None
        statuses.append(verified)
        _report(reporter, headers, body, verified, wrong)
        if arguments.count and len(statuses) >= arguments.count:
            ended.set()
        return web.Response(status=204) if verified is not False else web.Response(status=401, text=wrong)

    app = web.Application(client_max_size=MAX_BYTES)
    app.router.add_post("/{path:.*}", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, arguments.host, arguments.port).start()
        except OSError as error:
            raise CliError(f"cannot listen on {arguments.host}:{arguments.port}: {error.strerror or error}") from None
        host, port = runner.addresses[0][:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        note = "" if secret else "; without --secret (or ITTYBIT_WEBHOOK_SECRET) signatures are not verified"
        print(f"listening on {address}/{note}", file=sys.stderr, flush=True)
        await ended.wait()
        await asyncio.sleep(0)  # the last response is sent by the runner's cleanup
        return 1 if False in statuses else 0
    finally:
        await runner.cleanup()


def _report(
    reporter: Reporter, headers: Mapping[str, str], body: bytes, verified: bool | None, wrong: str | None
) -> None:
    content: Any = None
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = body.decode(errors="replace")
    id = headers.get("webhook-id")
    resource = {"object": "webhook", "id": id, "verified": verified, "reason": wrong, "body": content}
    state = {None: "not verified", True: "verified", False: f"REFUSED: {wrong}"}[verified]
    title = ""
    if isinstance(content, dict):
        title = " ".join(str(content[name]) for name in ("id", "kind", "status") if content.get(name))
    text = orjson.dumps(content, option=orjson.OPT_INDENT_2).decode()
    reporter.result(resource, f"{state}  {printable(title)}\n{printable_lines(text)}")

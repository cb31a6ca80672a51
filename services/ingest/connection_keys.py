"""Encrypts secrets of connections anew, after the operator has put another key before the others in ENCRYPTION_KEYS.

Once all are encrypted with the first key, an older one is not needed for them any more. Jobs that are queued still have
texts of the older key: it may be removed when they have ended.
"""

from datetime import timedelta

from chassis.core import logs
from chassis.core.encryption import Keyring
from schemas.connections import secret_context
from services.ingest.store import QUERIES, Store

LOOK_EVERY = timedelta(hours=1)
BATCH = 100

log = logs.get_logger(__name__)


async def encrypt_anew(store: Store, keyring: Keyring | None, *, batch: int = BATCH) -> int:
    """How many secrets were encrypted with the first key that were not before.

    Raises DecryptionError where the key of one is not among those of this process.
    """
    changed = 0
    while keyring is not None:
        async with store.transaction() as conn:
            rows = await conn.fetch(QUERIES["older_secrets"], keyring.prefix, batch)
            for row in rows:
                context = secret_context(row["project"], row["id"])
                secret = keyring.encrypt(keyring.decrypt(row["encrypted_secret"], context), context)
                await conn.execute(QUERIES["replace_secret"], row["id"], secret)
        changed += len(rows)
        if len(rows) < batch:
            break
    if changed:
        log.info("connection_secrets_encrypted_anew", connections=changed)
    return changed

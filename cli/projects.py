"""`bitmill projects`: lists projects, sets how their files are stored and delivered, rotates their webhook secrets.

Changes reach the other services as events, by the outbox relay of the running ingest service; webhook secrets are the
notifier's own and are used from the next webhook on.
"""

import argparse
import os
from datetime import timedelta

import orjson

from chassis.adapters.postgres import Pool
from chassis.core.encryption import Keyring, parse_keys
from chassis.core.setting_types import duration
from cli import env_file
from cli.args import default_data
from cli.database import ADMIN_URL, table, with_database
from cli.errors import CliError, UsageError
from schemas.projects import Project
from services.ingest import keys, projects
from services.notifier import webhook_secrets
from services.notifier.webhook_secrets import TooManySecrets, WebhookSecret

DEFAULT_OVERLAP = timedelta(hours=24)


def list_(arguments: argparse.Namespace) -> int:
    """Print all projects with the webhook secrets that sign for them, without the secrets themselves."""
    found = with_database(arguments, keys.database, projects.list_projects)

    async def secrets_of_all(pool: Pool) -> dict[str, list[WebhookSecret]]:
        return {project.id: await webhook_secrets.list_secrets(pool, project.id) for project in found}

    secrets = with_database(arguments, webhook_secrets.database, secrets_of_all)
    if arguments.json:
        for project in found:
            listed = [vars(secret) for secret in secrets[project.id]]
            print(orjson.dumps({**project.model_dump(exclude={"version"}), "webhook_secrets": listed}).decode())
        return 0
    rows = [(*_settings(project), _secrets(secrets[project.id])) for project in found]
    print(table([("Id", "Name", "Delivery", "Strip", "Webhook secrets"), *rows]))
    return 0


def set_(arguments: argparse.Namespace) -> int:
    """Set how the files of a project are stored and delivered."""
    strip = None if arguments.strip is None else arguments.strip == "on"
    if arguments.delivery is None and strip is None:
        raise UsageError("set what? --delivery or --strip")
    if arguments.delivery == "signed" and keyring(arguments) is None:
        raise UsageError("signed delivery needs ENCRYPTION_KEYS, which every service must have as well")
    id = _project(arguments).id
    project = with_database(
        arguments,
        keys.database,
        lambda pool: projects.set_project(pool, id, delivery=arguments.delivery, strip=strip),
    )
    if project is None:
        raise _unknown(arguments.project)
    fields = project.model_dump(exclude={"version"})
    _, name, delivery, strips = _settings(project)
    text = f"{project.id} {name}: {delivery}, strip {strips}"
    print(orjson.dumps(fields).decode() if arguments.json else text)
    return 0


def rotate_secret(arguments: argparse.Namespace) -> int:
    """Give a project a new webhook secret and print it."""
    ring = keyring(arguments)
    if ring is None:
        raise UsageError("webhook secrets need ENCRYPTION_KEYS, which the notifier must have as well")
    try:
        overlap = duration(arguments.overlap)
    except ValueError as error:
        raise UsageError(f"--overlap {error}") from None
    project = _project(arguments)
    try:
        secret = with_database(
            arguments,
            webhook_secrets.database,
            lambda pool: webhook_secrets.rotate_secret(pool, ring, project.id, overlap),
        )
    except TooManySecrets:
        raise CliError(
            f"{project.name} has {webhook_secrets.MAX_ACTIVE} webhook secrets that have not expired; "
            "rotate again when one has, or end them all now with --overlap 0"
        ) from None
    if arguments.json:
        print(orjson.dumps({"project": project.id, "webhook_secret": secret}).decode())
    else:
        print(secret)
        before = f"sign as well for {arguments.overlap}" if overlap else "no longer sign"
        print(
            f"Signs the webhooks of {project.name} from now on; the secrets before it {before}. "
            "Keep it: it is stored encrypted and cannot be shown again."
        )
    return 0


def keyring(arguments: argparse.Namespace) -> Keyring | None:
    """The keys of the system whose database `database_of` gives: its services could not read other keys' secrets."""
    if arguments.data is not None:
        text = env_file.read(arguments.data).get("ENCRYPTION_KEYS")
    elif os.environ.get(ADMIN_URL) or os.environ.get("DATABASE_URL"):
        text = os.environ.get("ENCRYPTION_KEYS")
    else:
        text = env_file.read(default_data()).get("ENCRYPTION_KEYS")
    try:
        return Keyring(parse_keys(text)) if text else None
    except ValueError as error:
        raise UsageError(f"ENCRYPTION_KEYS {error}") from None


def _project(arguments: argparse.Namespace) -> Project:
    for project in with_database(arguments, keys.database, projects.list_projects):
        if arguments.project in (project.id, project.name):
            return project
    raise _unknown(arguments.project)


def _unknown(name: str) -> CliError:
    return CliError(f"there is no project {name}; `bitmill projects list` shows them")


def _settings(project: Project) -> tuple[str, str, str, str]:
    """What people read: id, name, delivery, and whether tags are removed."""
    return project.id, project.name, project.delivery, "on" if project.strip else "off"


def _secrets(secrets: list[WebhookSecret]) -> str:
    if not secrets:
        return "of the installation"
    return ", ".join(
        ("own" if secret.own else "of the installation")
        + (f" until {secret.expires_at:%Y-%m-%d %H:%M}" if secret.expires_at else "")
        for secret in secrets
    )

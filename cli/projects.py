"""`bitmill projects`: lists projects, sets how their files are delivered and their limits, rotates webhook secrets.

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
from schemas.storable import MAX_INT4
from services.ingest import keys, projects
from services.notifier import webhook_secrets
from services.notifier.webhook_secrets import TooManySecrets, WebhookSecret

DEFAULT_OVERLAP = timedelta(hours=24)
LEAST_RETENTION = timedelta(hours=1)
MOST_RETENTION = timedelta(days=3650)


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
    print(table([("Id", "Name", "Delivery", "Strip", "Limits", "Webhook secrets"), *rows]))
    return 0


def set_(arguments: argparse.Namespace) -> int:
    """Set how the files of a project are stored and delivered, its limits, and how long its jobs are kept."""
    change = _change(arguments)
    if all(value is None for value in change.values()):
        raise UsageError("set what? --delivery, --strip, --retain-jobs or a limit: see --help")
    if arguments.delivery == "signed" and keyring(arguments) is None:
        raise UsageError("signed delivery needs ENCRYPTION_KEYS, which every service must have as well")
    id = _project(arguments).id
    project = with_database(
        arguments,
        keys.database,
        lambda pool: projects.set_project(pool, id, **change),
    )
    if project is None:
        raise _unknown(arguments.project)
    fields = project.model_dump(exclude={"version"})
    _, name, delivery, strips, limits = _settings(project)
    text = f"{project.id} {name}: {delivery}, strip {strips}, {limits}"
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


def _change(arguments: argparse.Namespace) -> projects.ProjectChange:
    """What is to be set; UsageError where a value is none."""
    return {
        "delivery": arguments.delivery,
        "strip": None if arguments.strip is None else arguments.strip == "on",
        "rate_limit": _number(arguments, "rate_limit", least=0),
        "key_rate_limit": _number(arguments, "key_rate_limit", least=0),
        "max_unfinished_jobs": _number(arguments, "max_unfinished_jobs", least=1),
        "max_unfinished_imports": _number(arguments, "max_unfinished_imports", least=1),
        "retain_jobs_s": _retention(arguments.retain_jobs),
    }


def _number(arguments: argparse.Namespace, name: str, *, least: int) -> int | None:
    text = getattr(arguments, name)
    if text is None:
        return None
    if text == "default":
        return projects.DEFAULT
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= MAX_INT4:
        raise UsageError(
            f"--{name.replace('_', '-')} must be a number from {least} to {MAX_INT4}, or default; not {text}"
        )
    return int(text)


def _retention(text: str | None) -> int | None:
    if text is None:
        return None
    if text == "default":
        return projects.DEFAULT
    try:
        kept = duration(text)
    except ValueError as error:
        raise UsageError(f"--retain-jobs {error}") from None
    if not LEAST_RETENTION <= kept <= MOST_RETENTION:
        raise UsageError(f"--retain-jobs must be from 1h to {MOST_RETENTION.days}d, or default; not {text}")
    return int(kept.total_seconds())


def _settings(project: Project) -> tuple[str, str, str, str, str]:
    """What people read: id, name, delivery, whether tags are removed, and the limits that are the project's own."""
    return project.id, project.name, project.delivery, "on" if project.strip else "off", _limits(project)


def _limits(project: Project) -> str:
    rates = {"requests/min": project.rate_limit, "requests/min of a key": project.key_rate_limit}
    queues = {"unfinished jobs": project.max_unfinished_jobs, "unfinished imports": project.max_unfinished_imports}
    shown = [f"{limit or 'unlimited'} {what}" for what, limit in rates.items() if limit is not None]
    shown += [f"{limit} {what}" for what, limit in queues.items() if limit is not None]
    if project.retain_jobs_s is not None:
        shown.append(f"jobs kept for {timedelta(seconds=project.retain_jobs_s)}")
    return ", ".join(shown) or "limits of the installation"


def _secrets(secrets: list[WebhookSecret]) -> str:
    if not secrets:
        return "of the installation"
    return ", ".join(
        ("own" if secret.own else "of the installation")
        + (f" until {secret.expires_at:%Y-%m-%d %H:%M}" if secret.expires_at else "")
        for secret in secrets
    )

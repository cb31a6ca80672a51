"""`python -m tests.soak.services SECONDS`: all five services in one process, with retentions of so many seconds.

Settings refuse retentions that are shorter than Kafka's, so they are replaced after the settings were read.
"""

import sys
from datetime import timedelta
from typing import Any

from chassis.core import logs
from chassis.core.settings import load
from chassis.runtime import lifecycle
from cli.service_commands import app_class, settings_class
from schemas.topics import SERVICES

RETENTIONS = ("retain_jobs", "notifier_keep", "retain_deleted_media", "retain_quarantined_events", "retain_events")


def main(keep: timedelta) -> int:
    apps: list[Any] = []
    settings: Any = None
    for service in SERVICES:
        of_class = settings_class(service)
        replaced = {name: keep for name in RETENTIONS if name in of_class.model_fields}
        settings = load(of_class).model_copy(update=replaced)
        apps.append(app_class(service)(settings))
    logs.configure("json", settings.log_level)
    return lifecycle.run_loop(
        lifecycle.serve_until_signal(
            apps,
            host=settings.http_host,
            port=settings.http_port,
            ready=lambda: print("ready", flush=True),
        )
    )


if __name__ == "__main__":
    sys.exit(main(timedelta(seconds=float(sys.argv[1]))))

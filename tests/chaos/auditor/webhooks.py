"""Webhooks as the receiver saw them: one id for each job and address, delivered at least once."""

from tests.chaos.auditor.records import Audit, Customers


def check_webhooks(customers: Customers, audit: Audit) -> None:
    ids: dict[tuple[str, str], set[str]] = {}
    delivered: set[tuple[str, str]] = set()
    owners: dict[str, set[tuple[str, str]]] = {}
    for hook in customers.webhooks:
        place = (hook.job, hook.path)
        ids.setdefault(place, set()).add(hook.id)
        owners.setdefault(hook.id, set()).add(place)
        if 200 <= hook.answered < 300:
            delivered.add(place)
    doubled = [job for (job, _), found in ids.items() if len(found) > 1]
    audit.report("webhooks doubled", doubled, "more than one webhook id for one job and address")
    shared = [id for id, places in owners.items() if len(places) > 1]
    audit.report("webhooks doubled", shared, "one webhook id for two jobs or addresses")
    expected = [
        (str(request.id), request.webhook_url.partition("/hook")[2])
        for request in customers.accepted
        if request.webhook_url is not None
    ]
    missing = [job for job, path in expected if (job, f"/hook{path}") not in delivered]
    audit.report("webhooks missing", missing, "no delivery that the receiver answered with 2xx")
    audit.counts["webhooks"] = len(expected)
    audit.counts["webhook requests"] = len(customers.webhooks)

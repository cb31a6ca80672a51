"""Builds the notifier: the only module of this service that constructs its parts."""

from importlib.metadata import version
from random import uniform

from chassis.adapters.egress.policy import egress_policy
from chassis.core.host_limiter import HostLimiter
from chassis.runtime.job_queue import Runner
from chassis.runtime.retention import Dependent, Kept, Purged
from chassis.runtime.service_app import Components, Resources, ServiceApp, ServiceSpec
from schemas.delivery import DeliverySigner
from services.notifier import handlers
from services.notifier.deliveries import DeliveryQueue, DeliveryRunner
from services.notifier.host_slots import HostSlots
from services.notifier.sender import Sender
from services.notifier.settings import Settings
from services.notifier.store import MIGRATIONS, Store

CLAIMS_AT_A_TIME = 32
RETENTION = (
    Purged(
        "deliveries",
        "closed_at",
        "notifier_keep",
        dependents=(Dependent("delivery_attempts", "delivery_id", cascades=True),),
        note="deliveries that have ended",
    ),
    Purged("webhook_secrets", "expires_at", "notifier_keep", note="secrets that were replaced"),
    Kept("projects", "a row for each project that has changed its delivery"),
)


class Notifier(ServiceApp[Settings, None]):
    """The notifier as an App. It has no HTTP routes yet; the gateway sends /webhooks here."""

    spec = ServiceSpec(
        name="notifier", migrations=MIGRATIONS, job_queue=True, retention=RETENTION, queue_retention="notifier_keep"
    )

    async def build(self, resources: Resources) -> Components[None]:
        settings, queue = self.settings, resources.job_queue
        deadline_s = settings.notifier_deadline.total_seconds()
        egress = egress_policy(settings, deadline_s=deadline_s)
        store = Store(resources.pool)
        signer = DeliverySigner(settings.delivery_base, settings.derive_keys, settings.signed_url_lifetime)
        deliveries = DeliveryQueue(resources.pool, queue, store, signer)
        sender = Sender(egress, settings.response_limits, deadline_s=deadline_s)
        resources.stack.callback(sender.close)
        runner = DeliveryRunner(
            store=store,
            sender=sender,
            hosts=HostSlots(HostLimiter(settings.notifier_slots_per_host)),
            secret=settings.webhook_secret.get_secret_value(),
            keyring=settings.keyring,
            user_agent=f"bitmill/{version('bitmill')}",
            jitter=lambda: uniform(-1, 1),  # noqa: S311  spreads load, protects nothing
        )
        return Components(
            parts=None,
            subscribe=lambda broker: handlers.register(broker, deliveries, store),
            runner=Runner(
                queue,
                runner.work,
                slots=settings.notifier_slots,
                # More than one host may have, so that a project's other receivers are not delayed either.
                slots_per_project=max(settings.notifier_slots // 2, settings.notifier_slots_per_host + 1),
                claims_at_a_time=CLAIMS_AT_A_TIME,
                exhausted=runner.exhausted,
                on_cancel=runner.on_cancel,
            ),
        )

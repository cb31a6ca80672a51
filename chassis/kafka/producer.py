"""The producer of events: idempotent, acknowledged by every replica in step, without waiting for company."""

from aiokafka import AIOKafkaProducer

from chassis.kafka.quiet import spare_client_logs
from chassis.kafka.waiting import wait_for_kafka


async def open_producer(
    bootstrap: str, client_id: str, *, wait: float = 60.0, max_request_size: int = 1024 * 1024
) -> AIOKafkaProducer:
    """A started producer; close it with `await producer.stop()`. Waits up to `wait` seconds for Kafka."""
    spare_client_logs()
    await wait_for_kafka(bootstrap, wait)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_request_size=max_request_size,
    )
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer

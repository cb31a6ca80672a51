"""Every log event of the product: its code, level, fields and meaning.

An event is logged as `log.info("http_request", status=200)`: a stable code and fields, never a sentence. The fields
that `logs.bind_context` adds (`service`, `request_id`, `project`, ids of jobs and media items) are not repeated here.
The meaning is for an operator: what happened, whether an action is needed, and which. A test compares this table with
the code of all packages, in both directions.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_TABLE = """
background_task_failed | error | task
    A task of the service raised an exception (a bug, with its traceback), so that the service stops.
local_job_failed | error | detail
    A job of `bitmill video` or `image` on this machine failed for another reason than its input.
retry_started | warning | operation error
    The operation failed and is repeated with growing pauses. No action if retry_succeeded follows soon; otherwise look
    at the dependency that the error names.
retry_succeeded | info | operation failures seconds
    The operation of an earlier retry_started works again, after this many failures and seconds.

tracing_started | info | endpoint
    Spans are exported to this OpenTelemetry endpoint.
trace_export_failed | warning | spans error
    The endpoint did not take spans, which are lost; said once a minute. Requests and jobs are not affected. Look at the
    collector, and at OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS.
tracing_flush_timed_out | warning | seconds
    The process ended before the endpoint had taken the last spans. They are lost.

process_ready | info |
    All services of the process run and every check passes: /readyz responds 200 from now on.
process_stopped | info |
    The process has stopped in order.
process_failed | critical | error
    A service or something it needs failed, so that the process exits with status 1. The cause was logged before.
process_dependency_failed | error |
    Something that the process requires ended (with `bitmill up`: an embedded server), so that the process stops.
shutdown_started | info | signal
    SIGTERM or SIGINT arrived: running work is finished or released. A second signal ends the process at once.
shutdown_deadline_exceeded | error | seconds
    The process did not stop in time and was ended. Its leases expire, other workers continue its work; nothing is lost.
service_starting | info |
    The service waits for its dependencies, migrates its schema and opens its pools.
service_started | info |
    The service handles requests, events and jobs.
service_draining | info | seconds
    The process is to stop; the service finishes the work that it has begun, for at most so many seconds.
service_drain_failed | error | error
    The consumers could not be stopped in order, or the wait for the work failed; the service then stops as usual.
queue_draining | info | working released
    Claims have stopped. Items that were not worked on yet are back in the queue.
queue_drained | info | unfinished
    The work has ended, or its time is over: unfinished items are stopped and go back into the queue.
service_stopped | info |
    The service has closed everything in order.
service_failed | error |
    The service could not start, or one of its tasks failed (with its traceback). The process stops.
service_start_refused | critical | reason
    The service cannot work on this machine; the reason says what is missing and what to do. The process exits with 2.
service_stop_timed_out | error | service seconds
    The service did not stop within SHUTDOWN_TIMEOUT and was cancelled. Its work continues elsewhere after its leases.

egress_address_refused | info | address reason setting
    A customer's input or webhook leads to an address that is private or reserved. If it is yours and may be contacted,
    add its network to the setting. The customer is not told whether the name exists.
name_servers_unknown | warning | error used
    The file /etc/resolv.conf names no name server or cannot be read; names of customers' servers are asked of this one.

http_listening | info | address services
    The HTTP server accepts connections; routes of services that are still starting respond 503.
http_request | info | method path status ms
    The access log: one line per request. Probes and scrapes are at level debug; status 499 is a client that left.
http_request_failed | error |
    A request ended in a 500: a bug, with its traceback. The request_id is in the response.
http_request_unavailable | warning | error
    A request ended in a 503, because Postgres, storage or Kafka did not work. Look at /readyz.
http_request_invalid | info | reason status
    A client sent bytes that are not HTTP, or a body with wrong framing (reason is the kind of error). No action.
http_connections_refused | warning | client bound refused
    So many new connections got 503 since the last such line (at most one a minute), the last one of this client. Bound
    client: it has more than HTTP_CONNECTIONS_PER_CLIENT, all in use. Is it a proxy of yours? Then add it to
    TRUSTED_PROXIES. Bound total: all clients together have more than HTTP_CONNECTIONS.
http_response_unread | info | seconds
    A client did not read its response for this long, so that the connection was closed. No action.
http_response_aborted | error |
    An exception ended a response that had been sent in part; the client saw the connection break.
metrics_not_refreshed | warning | error
    A scrape could not measure lag, queue or outbox, because a dependency does not answer; the gauges keep old values.
gauge_lease_not_released | debug | error
    A stopping replica measured the gauges; another one does so from its first scrape 15 s later on. No action.

postgres_connection_discarded | warning | error
    A connection did not answer a ping or could not be reset; the pool replaces it. Many in a row: Postgres or the
    network does not respond.
postgres_pool_terminated | warning | seconds
    At the stop of a service, connections were in use or unresponsive for this many seconds, and were terminated.

kafka_client_failed | warning | error
    The Kafka client reports an error of the connection or the group. It recovers by itself, records come again. If it
    repeats for minutes, look at the brokers.
kafka_consumer_halted | critical | reason partition offset subject see
    Too many dead letters: the consumer stopped before this record and /readyz fails. Look at the dead letters, fix
    their cause (often the last deployment), and restart the service; it continues with this record.
kafka_connection_failed | warning | bootstrap error failures
    Kafka does not answer the first requests of a starting service, which tries again for a minute and then exits.
    `error` names the setting that may be wrong.
kafka_event_type_unknown | warning | topic event_type
    A record of a type that this release does not know was skipped; a newer release produces it. Logged once per type.
kafka_event_value_unknown | warning | topic field value
    An event has a value that this release does not know; it is handled as `unknown`. Logged once per value.
kafka_handler_failed | warning | kind error records partition offset subject failures
    A handler raised an exception. kind `outage`: the batch is repeated until the dependency works. kind `unexpected`:
    a bug; the record is repeated and becomes a dead letter after 5 attempts.
kafka_handler_recovered | info | failures
    A handler works again after this many outages in a row.
kafka_producer_not_stopped | debug | error
    A producer could not be closed; what it had not sent is still in the outbox.
kafka_record_dead_lettered | error | reason code dead_letter_topic partition offset subject event_type
    A record was written to the dead letter topic and skipped. Level error: unexpected errors, a bug to fix before the
    record is replayed. Level warning: the record is unreadable or rejected, so that its producer has to change.
faststream_failed | error | message
    FastStream reports an error of its own, with its traceback: a bug of ours or of the library.
kafka_topics_acknowledged_by_one | warning | topics brokers
    The setting min.insync.replicas of these topics is 1: a record may be acknowledged by one broker alone, and be lost
    with its disk. With three replicas set it to 2 (kafka-configs --alter --add-config min.insync.replicas=2).
kafka_topics_not_replicated | warning | topics brokers
    These topics have one replica although the cluster has several brokers: the loss of one disk loses accepted work.
    Add replicas (kafka-reassign-partitions), and set default.replication.factor for topics to come.
lossy_event_dropped | debug | event_type error
    An event that may be lost (progress) was not sent, because Kafka does not answer.

outbox_producer_reopened | warning | error
    The relay replaces its Kafka producer after an error that the producer does not recover from.
outbox_record_quarantined | error | outbox_id topic error
    Kafka rejects an event as too large; it stays in the outbox table, marked, and later ones pass. Readers miss this
    event: raise the limit of the topic, or remove the row.

queue_clock_set_back | warning | seconds
    Postgres' clock was set back, or another server took over; what the queue waits for was moved by the difference.
queue_item_abandoned | error | attempt
    An item could neither be finished nor put back; its lease expires and another worker claims it. Look at Postgres.
queue_item_attempt_failed | error | attempt failures
    The work of an item raised an unexpected exception (a bug, with its traceback); it is tried again a few times.
queue_item_close_failed | error | attempt
    Ending an item after its last attempt raised an exception (a bug, with its traceback); it is tried again later.
queue_item_crash_retracted | info | attempt
    A worker that lost its lease lives: what counted as a crash against its item is taken back.
queue_item_given_up | error | attempt failures
    The last attempt of an item failed with an unexpected exception: a bug, with its traceback. The item is failed.
queue_item_isolated | warning | item_id crashed crashed_alone
    An item was worked on when a worker process died. It now gets a work slot once no other is taken, and while it works
    no other is: that shows whether it is at fault.
queue_item_lease_lost | warning | attempt
    Another worker has claimed the item meanwhile; this attempt writes nothing. Often a sign of a stalled machine.
queue_item_postponed | warning | attempt error
    An outage ended the attempt; the item is tried again, without limit, and the outage does not count against it.
queue_item_quarantined | error | attempt crashed
    The item was running alone each time that its worker died, so that it is failed. Keep its input for an analysis.
queue_item_work_stuck | critical | attempt seconds
    Work that was stopped does not end; its slot is given up, and the service is not ready. Restart the process.

rows_purged | info | rows seconds
    Rows whose retention was over were deleted; `rows` has the number for each table.
purge_failed | warning | table error
    Old rows of this table (`*`: the sizes of all) could not be deleted or measured; the next pass tries again after
    PURGE_INTERVAL. If it lasts, the table grows: look at Postgres, and for the tables of workers at the storage.

embedded_server_exited | warning | server error exits
    An embedded server (`bitmill up`) ended and is started again, after a pause that grows with `exits`.
embedded_server_disk_full | error | server error
    An embedded server (`bitmill up`) has no space left on the disk of its data folder. Free some: it is started again
    as soon as there is, however long that takes. Jobs wait meanwhile, and POST responds with 503.
embedded_log_not_rotated | warning | file error
    The log of an embedded server (`bitmill up`) is too large and could not be begun anew; it is tried again.
embedded_server_restarted | info | server seconds
    The embedded server works again, this many seconds after it ended.

connection_created | info | connection_id endpoint region
    A customer has connected a store with the API of S3.
connection_changed | info | connection_id endpoint region
    A customer has changed a connection; jobs that are queued keep what they were given.
connection_deleted | info | connection_id
    A customer has deleted a connection with its secret.
connection_secrets_encrypted_anew | info | connections
    Secrets of connections are encrypted with the first of ENCRYPTION_KEYS now. No action.
job_batch_failed | error |
    A body of POST /jobs/batch could not be accepted: a fault of ours.
job_batch_outage | warning | error
    A body of POST /jobs/batch could not be stored: an outage of ours, which its response says.
job_action_submitted | info | action submission_id
    A producer's record on job.control was accepted: the job is cancelled, run again or removed.
job_cancel_requested | info |
    A customer requested the cancellation of a job.
job_purged | info |
    A customer had a job that had ended removed for good.
jobs_expired | info | project jobs
    So many jobs of the project were removed because its own retention is over (`bitmill projects set --retain-jobs`).
jobs_purged | info | job_ids
    The catalog has removed these jobs, because a customer asked for it or the retention of their project is over.
items_erased | info | ids
    What these ended jobs had stored is deleted, and all but their ids is forgotten.
erasure_failed | warning | error
    A pass that erases ended jobs failed, and is repeated. Look at the dependency that the error names.
job_retry_requested | info | run
    A customer had a job that failed or was cancelled run again; this is the number of the run.
dead_letter_report_failed | error |
    The producer of a refused record could not be told (a bug, with its traceback). The dead letter is written.
replies_not_sent | warning | topic replies error
    So many replies to producers could not be sent to this topic, and are tried again. Does it exist, and may ingest
    write to it? REPLY_TOPICS says which topics producers may name.
replies_dropped | warning | topic replies
    So many replies to producers are too large for this topic, and are dropped.
job_submitted | info | submission_id
    A producer's record on job.submitted was accepted as a job.
upload_stored | info | size
    The file of an upload has arrived completely and is stored; it can be used until it expires.
upload_refused_disk_full | warning |
    The disk of the work folder is full while a customer sends a file, who is told to try again later. Make space.
ffmpeg_started | debug | command
    The command line of an ffmpeg that begins; `--debug` of the shell shows it.
ffmpeg_ended | debug | status stderr
    What that ffmpeg wrote to standard error, and its exit status.
media_deleted | info |
    A customer deleted a media item; it can be restored for a time.
media_name_overwritten | info | filename
    Another item took the name of this one (`overwrite`), whose file has this name from now on. No action.
media_purged | info |
    The stored files of a deleted media item were removed.
media_restored | info |
    A customer restored a deleted media item.
media_submitted | info | submission_id
    A producer's record on media.submitted was accepted as a media item.
submission_repeated | info | submission_id
    A submission with this id was accepted before; the repetition changes nothing.
work_announced_again | warning | jobs media_items
    Jobs without an end, and media items, were announced again. Single ones are slow or waiting; many after a failure of
    Kafka are records that it has lost. Many at other times: workers are behind or stopped.
job_ends_repeated | info | job_ids
    A worker was told again of jobs that it has ended, and has published their ends again.
import_rejected | info | fault detail
    The file of a media item cannot be used, by a fault of the customer; the item has the reason.
import_given_up | error | reason
    An import failed in every attempt by a fault of ours (logged before, with its traceback); the item is failed.
import_status_unavailable | warning | error
    POST /media could not read the item that it waits for and goes on waiting. Look at Postgres.
jobs_projected | info | status job_ids
    The catalog shows the new state of these jobs. Their progress is at level debug.
keys_revoked | info | key_ids
    Ingest announced that these keys are revoked; they are refused from now on.
key_revocations_unknown | warning | error
    Requests with keys get 503, because announcements of revoked keys cannot be heard. If it lasts, look at Postgres,
    and at LISTEN_URL if DATABASE_URL goes through a transaction pooler.
key_revocations_unreadable | warning | error
    A message on the channel of revoked keys is not from ingest, or from another release. Find out who sends it.
keys_projected | info | key_ids
    The catalog has stored these new or revoked API keys.
project_projected | info | project delivery
    The catalog delivers the files of this project to everybody (public) or with a signature only (signed).
media_projected | info | status media_ids
    The catalog shows the new state of these media items.
broadcast_unreadable | warning | topic reason offset
    The catalog cannot read a record of `outbox.watermark` or `queue.order` and waits for the next one. Many in a row:
    mixed releases.
event_history_unavailable | info | error
    Postgres did not answer a listener that goes on after Last-Event-ID; its stream stays open and tries again.
event_listener_cut_off | info | seconds
    A client did not read its stream of events for so long, and was disconnected. It can go on with Last-Event-ID.
catalog_visibility_unknown | warning | error
    POST /media could not find out whether the catalog shows the new item, and answered. Look at Postgres.
s3_upload_left | warning | bucket error
    The parts of an upload to a customer's store that failed could not be removed there. No action; the store may bill
    them until its rule for unfinished uploads removes them.
attempt_object_discarded | info | key
    The file of an attempt that does not count, because another attempt has the item, was deleted.
attempt_object_left | warning | key error
    Such a file could not be deleted: it takes space, and nothing refers to it. `bitmill gc --delete` removes it.
derived_file_failed | warning | ref fault
    A job for a media item failed; the item stays as it is and lacks this derived file.

input_fetch_failed | info | error retry_in_s
    The input of a job or an import could not be downloaded, and is tried again after this many seconds.
job_failed | info | fault reason detail
    A job failed and gets no further attempt; fault and reason are what the customer sees.
job_progress_dropped | debug | error
    A progress report could not be written to Postgres; the job goes on without it.
job_succeeded | info | filesize format
    The output of a job is stored.
sandbox_checked | info | possible landlock seccomp namespaces dies_with_parent
    The self-test of the sandbox: a confined child was denied every attempt to leave it.
sandbox_weak | warning | possible landlock seccomp namespaces dies_with_parent
    SANDBOX=weak is set, and input that takes a decoder over could do what is in `possible`. Use a kernel with Landlock.

webhook_attempt_failed | info | attempt status error seconds retry_in_s
    A webhook was not accepted by its receiver; it is sent again after this many seconds. No action.
webhook_attempt_interrupted | info | attempt
    A shutdown or a lost lease interrupted a delivery attempt; it is repeated and does not count.
webhook_attempt_postponed | warning | attempt error
    A webhook could not be sent because of an outage of ours: no name server answers, or this machine lacks what the
    error names. It is sent later, and the attempt does not count. Look at the name servers (EGRESS_NAME_SERVERS).
webhook_delivered | info | attempt status error seconds
    A receiver accepted a webhook.
webhook_delivery_given_up | warning | attempt status error seconds reason
    A webhook was not accepted in all of its attempts, or its receiver rejects it for good. The delivery stays `failed`.
webhook_delivery_quarantined | error | delivery_id reason
    A delivery is given up without a further attempt, because its workers crashed or failed each time: a bug. It can be
    replayed after the fix.
webhook_delivery_queued | info | delivery_id
    A webhook is due for a finished job.
webhook_request_failed | info | error detail
    The request of a delivery attempt failed; the attempt is then logged as failed or given up.
"""


@dataclass(frozen=True)
class LogEvent:
    """One row of the table. `fields` are the names of the event's own fields."""

    level: str
    fields: frozenset[str]
    meaning: str


def _parsed(table: str) -> Mapping[str, LogEvent]:
    """Each row is `code | level | fields`, followed by indented lines with the meaning. A code may occur once."""
    events: dict[str, LogEvent] = {}
    for block in re.split(r"\n+(?=\S)", table.strip()):
        head, *meaning = block.splitlines()
        code, level, fields = (part.strip() for part in head.split("|"))
        if code in events:
            raise ValueError(f"the log event {code} is listed twice")
        events[code] = LogEvent(level, frozenset(fields.split()), " ".join(line.strip() for line in meaning))
    return MappingProxyType(events)


LOG_EVENTS = _parsed(_TABLE)

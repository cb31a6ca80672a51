"""What to do about each published code (data). `devtools.errors` makes docs/errors.md of it, and the text in OpenAPI.

The cause of a job's failure is its sentence in `schemas.faults`. A code stands for one cause: where two causes have
two cures, they are two codes.
"""

from dataclasses import dataclass

from schemas.faults import FaultKind, RequestFault, WarningKind

CURES: dict[FaultKind, str] = {
    "input_forbidden": (
        "Give an address that anybody can reach. Private networks only if the operator has set `ALLOW_NET`."
    ),
    "input_not_found": "Look whether the file is still there and the address is right; then make a new job.",
    "input_gone": (
        "Look at the media item or job that the input names: restore a deleted item, retry what failed; then retry "
        "this job."
    ),
    "input_denied": "Sign the URL, with a signature that lasts for an hour or more, or make the file public.",
    "input_unreachable": (
        "The sentence says what went wrong: mend the server, its name, certificate or redirects, or wait until it "
        "works again; then make a new job."
    ),
    "input_timeout": "Serve the file from a faster server; then make a new job.",
    "input_too_large": "Send a smaller file, or ask the operator to raise `FETCH_MAX_BYTES`.",
    "input_empty": "Upload the file again: its upload stored no bytes.",
    "input_unreadable": (
        "Look at what the address really gives out: often it is a web page or a document. Otherwise convert the file "
        "to a usual format (mp4, webm, jpeg, png)."
    ),
    "input_damaged": "Upload the file again; if it is damaged at its origin as well, export it once more.",
    "input_truncated": "Upload the file again, to its end.",
    "input_kind_mismatch": "Use the job for this kind of file: `image` for pictures, `video` for films.",
    "input_codec_unsupported": (
        "Export or convert the file with a usual codec (H.264, HEVC, VP9, AV1; AAC, MP3, Opus, FLAC): the sentence "
        "names the one that it has."
    ),
    "input_limits_exceeded": "The sentence names the limit: send a smaller, shorter or simpler file.",
    "input_strip_unsupported": (
        "Export the file as JPEG, PNG, WebP, HEIC, TIFF, mp4, mov, webm, mp3, FLAC or WAV; or send it with "
        '`"strip": false` if its tags may be seen.'
    ),
    "start_out_of_range": "Choose `start` and `end` within the length that the sentence names.",
    "output_too_large": "Ask for a smaller `width` or `height`, or a shorter part.",
    "storage_forbidden": (
        "Use an endpoint that anybody can reach. Private networks only if the operator has set `ALLOW_NET`."
    ),
    "storage_unreachable": (
        "Look whether the endpoint of the connection is right and the store works; then retry the job."
    ),
    "storage_bucket_not_found": (
        "Correct the bucket in `s3://bucket/key`, or use the connection of the store that has it."
    ),
    "storage_object_not_found": "Correct the key in `s3://bucket/key`, or upload the object; then make a new job.",
    "storage_object_vanished": "Upload the object again, and delete it only after the job; then retry the job.",
    "storage_object_changed": "Retry the job once nobody writes the object any more.",
    "storage_object_archived": "Restore the object in the store; then retry the job.",
    "storage_denied": (
        "Allow the key of the connection `s3:GetObject` on the input and `s3:PutObject` on the output; then retry the "
        "job. A store without the right to list a bucket says the same of a key that does not exist."
    ),
    "storage_credentials_invalid": (
        "Give the connection a valid key and secret with `PATCH /connections/{id}`; then retry the job."
    ),
    "storage_wrong_region": (
        "Set the region of the connection with `PATCH /connections/{id}` to that of the bucket; then retry the job."
    ),
    "storage_clock_skew": "The operator has to set the clock of this server, or that of the store.",
    "storage_conflict": "Let one job write each object; a template such as `{job_id}` makes keys differ.",
    "storage_full": "Make space in the store, or raise its quota; then retry the job.",
    "storage_refused": "Look up the code in the documentation of the store.",
    "connection_missing": "Make a new job with a `connection_id` that `GET /connections` lists.",
    "poisoned": "Convert the file with another program and upload that. The operator finds the reason in the logs.",
    "internal_error": "Make the job again later. If it fails again, tell the operator its id: the logs say why.",
}
WARNING_CURES: dict[WarningKind, str] = {
    "damage_skipped": "Nothing, if the output is good enough; otherwise upload the file again.",
    "end_missing": "Nothing, if the output is good enough; otherwise upload the file again, to its end.",
    "empty_sound_track": "Nothing; the recorder had no sound (a muted microphone, for example).",
}


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused: the HTTP status, the cause and the cure."""

    status: str
    cause: str
    cure: str


REFUSALS: dict[RequestFault, Refusal] = {
    "invalid_input": Refusal(
        "400",
        "The body or the query breaks a rule.",
        "Correct the fields that `errors` names: each with rule and value.",
    ),
    "invalid_http": Refusal(
        "400, 417, 431", "The request is not valid HTTP/1.1.", "Use an HTTP library as it is meant."
    ),
    "token_missing": Refusal("401", "The request has no API key.", "Send `Authorization: Bearer KEY`."),
    "token_invalid": Refusal(
        "401", "The API key is mistyped, unknown or revoked.", "Use a valid key: `bitmill keys create` makes one."
    ),
    "signature_missing": Refusal(
        "403", "The project's files need a signed address.", "Take the address from a new response of the API."
    ),
    "signature_invalid": Refusal(
        "403", "The signature of the address does not fit it.", "Use the address unchanged, as the API gave it."
    ),
    "signature_expired": Refusal(
        "403", "The signature of the address has ended.", "Take the address from a new response of the API."
    ),
    "not_found": Refusal("404", "Nothing is at this path.", "Look at the paths of the OpenAPI document."),
    "job_not_found": Refusal("404", "The project has no job of this id.", "Check the id, and whose key is used."),
    "task_not_found": Refusal("404", "The project has no task of this id.", "Check the id, and whose key is used."),
    "media_not_found": Refusal(
        "404", "The project has no media item of this id.", "Check the id, and whose key is used."
    ),
    "upload_not_found": Refusal(
        "404", "There is no upload of this id and token.", "Send the file to the `url` of `POST /uploads`, unchanged."
    ),
    "upload_used": Refusal(
        "409", "The upload has its file, or its file was sent too often.", "Create a new upload with `POST /uploads`."
    ),
    "upload_expired": Refusal(
        "410",
        "The address of the upload has expired: UPLOAD_LIFETIME after it was made.",
        "Create a new upload with `POST /uploads`, and begin to send the file at once.",
    ),
    "connection_not_found": Refusal(
        "404", "The project has no connection of this id.", "Take the id from `GET /connections`."
    ),
    "connection_name_taken": Refusal(
        "409", "Another connection of the project has this name.", "Choose another `name`, or change that connection."
    ),
    "connection_check_failed": Refusal(
        "422",
        "The store could not be used with what was given; nothing was stored.",
        "Correct the fields that `errors` names; `check: false` stores the connection without trying it.",
    ),
    "connection_missing": Refusal(
        "409", "The connection of the job was deleted.", "Make a new job with another `connection_id`."
    ),
    "connection_limit": Refusal(
        "409", "The project has as many connections as it may have.", "Delete one that is not used any more."
    ),
    "connections_disabled": Refusal(
        "501",
        "This installation stores no credentials, because it has no key to encrypt them with.",
        "Ask the operator to set `ENCRYPTION_KEYS`.",
    ),
    "file_not_found": Refusal(
        "404", "No file is stored at this address.", "Take the address from a response of the API."
    ),
    "file_gone": Refusal(
        "410", "The media item of the file is deleted.", "Restore it with `POST /media/{id}/restore` while it is kept."
    ),
    "method_not_allowed": Refusal("405", "The path has no such method.", "Use one that the header `Allow` names."),
    "request_timeout": Refusal("408", "The body of the request did not arrive in time.", "Send it again, faster."),
    "conflict": Refusal("409", "Another item has this folder and filename.", "Choose another `filename` or `folder`."),
    "job_ended": Refusal(
        "409", "The job has ended already: it cannot be cancelled.", "Read its result with `GET /jobs/{id}`."
    ),
    "job_not_failed": Refusal(
        "409",
        "The job has not ended, or has succeeded: only one that failed or was cancelled runs again.",
        "Look at its status with `GET /jobs/{id}`.",
    ),
    "job_not_ended": Refusal(
        "409",
        "The job has not ended: only one that has can be purged.",
        "Cancel it with `POST /jobs/{id}/cancel`, and purge it when it has ended.",
    ),
    "version_mismatch": Refusal(
        "412",
        "The item was changed since the version that `If-Match` names.",
        "Read it with `GET /media/{id}`, and send its new `ETag`.",
    ),
    "request_in_progress": Refusal(
        "409",
        "The first request with this `Idempotency-Key` has no response yet.",
        "Send the same request again after `Retry-After` seconds.",
    ),
    "payload_too_large": Refusal("413", "The body of the request is larger than the limit.", "Send a smaller body."),
    "unsupported_media_type": Refusal(
        "415",
        "The body is not JSON, or is compressed in a way that is not read.",
        "Send JSON with `Content-Type: application/json`, plain or with gzip or deflate.",
    ),
    "range_not_satisfiable": Refusal(
        "416", "The requested range lies outside the file.", "Ask for one within the size in `Content-Range`."
    ),
    "idempotency_mismatch": Refusal(
        "422",
        "This `Idempotency-Key` came with another body within the last 24 hours.",
        "Use a new key for a new request.",
    ),
    "rate_limited": Refusal(
        "429",
        "The project or the key has sent as many requests as it may in a minute.",
        "Send the same request again after `Retry-After` seconds; `RateLimit` says how many are left.",
    ),
    "queue_full": Refusal(
        "429",
        "The project has as much unfinished work as it may have.",
        "Send the same request again after `Retry-After` seconds.",
    ),
    "too_many_listeners": Refusal(
        "429",
        "As many streams of events are open as the project, or the process, may have.",
        "Close some, or connect again after `Retry-After` seconds.",
    ),
    "internal_error": Refusal(
        "500", "Something failed on our side.", "Send it again later; tell the operator the `request_id`."
    ),
    "unavailable": Refusal(
        "503", "The service cannot do this just now.", "Send the same request again after `Retry-After` seconds."
    ),
}

"""The webhook, as OpenAPI writes it: data, and nothing but data."""

from typing import Any

from devtools.contracts.parts import content


def _header(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "description": description, "schema": schema}


JOB_FINISHED: dict[str, Any] = {
    "post": {
        "summary": "A job succeeded, failed or was cancelled",
        "description": (
            "Sent to the job's `webhook_url` with exactly the JSON that `GET /jobs/{id}` shows then. Any 2xx within "
            "20 seconds is success; redirects are not followed. Otherwise ten attempts: at once, then after 5 s, "
            "5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, each varied by up to 20 %; a longer `Retry-After` is "
            "honoured up to 24 h, and 410 ends it. It may arrive more than once, always with the same `webhook-id`."
        ),
        "tags": ["jobs"],
        "security": [],
        "parameters": [
            _header("webhook-id", {"type": "string", "pattern": "^msg_"}, "The same on every attempt."),
            _header("webhook-timestamp", {"type": "integer"}, "When this attempt was made, in Unix seconds."),
            _header(
                "webhook-signature",
                {"type": "string", "pattern": "^v1,"},
                "Standard Webhooks 1.0.0: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`.",
            ),
            _header(
                "Ittybit-Signature",
                {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "Hex HMAC-SHA256 of the raw body, keyed by the secret exactly as it is printed.",
            ),
        ],
        "requestBody": {"required": True, "content": content("JobBody")},
        "responses": {
            "2XX": {"description": "Received."},
            "410": {"description": "Nobody listens here any more: this webhook is not sent again."},
        },
    }
}

"""The operations on connections, as OpenAPI writes them: data, and nothing but data."""

from typing import Any

from devtools.contracts.components import BODY, JSON, content, errors, response, shared

_CHECKED = {
    "422": response(
        "`connection_check_failed`: the store cannot be used with what was given, and nothing was changed; `errors` "
        "names the fields at fault: the endpoint, the key, its secret, the region, or the bucket.",
        "ErrorResource",
    ),
    "501": response(
        "`connections_disabled`: this installation stores no credentials; its operator has to set ENCRYPTION_KEYS.",
        "ErrorResource",
    ),
}


def _listed() -> dict[str, Any]:
    listed = response("The connections of the project, oldest first.", "ConnectionResource", "Has-More", "Limit")
    items = {"type": "array", "items": {"$ref": "#/components/schemas/ConnectionResource"}}
    listed["content"] = {JSON: {"schema": items}}
    return listed


CONNECTION_PATHS: dict[str, Any] = {
    "/connections": {
        "get": {
            "operationId": "list_connections",
            "summary": "List connections",
            "tags": ["connections"],
            "responses": {"200": _listed(), **errors("")},
        },
        "post": {
            "operationId": "create_connection",
            "summary": "Connect a store with the API of S3",
            "description": (
                "The secret is stored encrypted and never shown again. The credentials are tried before, with one "
                "request that lists buckets, or the objects of `bucket`; a store that accepts the credentials and "
                "refuses only this request passes."
            ),
            "tags": ["connections"],
            "requestBody": {"required": True, "content": content("ConnectionRequest")},
            "responses": {
                "201": response("Stored.", "ConnectionResource"),
                **_CHECKED,
                **errors("", "InvalidInput", *BODY, "Conflict"),
            },
        },
    },
    "/connections/{id}": {
        "get": {
            "operationId": "get_connection",
            "summary": "Read a connection",
            "tags": ["connections"],
            "parameters": [shared("ConnectionId")],
            "responses": {"200": response("As it is now.", "ConnectionResource"), **errors("", "NotFound")},
        },
        "patch": {
            "operationId": "change_connection",
            "summary": "Change a connection",
            "description": (
                "What is left out stays. Jobs that are queued keep what they were given; a job that is retried gets "
                "what the connection has then."
            ),
            "tags": ["connections"],
            "parameters": [shared("ConnectionId")],
            "requestBody": {"required": True, "content": content("ConnectionPatch")},
            "responses": {
                "200": response("Changed.", "ConnectionResource"),
                **_CHECKED,
                **errors("", "InvalidInput", *BODY, "NotFound", "Conflict"),
            },
        },
        "delete": {
            "operationId": "delete_connection",
            "summary": "Delete a connection with its secret",
            "tags": ["connections"],
            "parameters": [shared("ConnectionId")],
            "responses": {"200": response("Deleted.", "DeletedConnectionResource"), **errors("", "NotFound")},
        },
    },
}

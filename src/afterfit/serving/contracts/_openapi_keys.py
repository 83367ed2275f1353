"""What the OpenAPI document says of keys, whichever contract a path is of."""

from __future__ import annotations

from typing import Any

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key made by 'afterfit keys create'."},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
}
_ANSWERS = {
    "401": "A key is asked for, and there is none, or it is not good",
    "403": "The key does not open this, or the server asks for none and was called by another name than its own",
    "429": "The key may not send more now; Retry-After says when",
}


def describe_keys(document: dict[str, Any]) -> dict[str, Any]:
    """Add to a document that a server may ask for a key, and how it says no; a server without keys never does."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, why in _ANSWERS.items():
                operation["responses"].setdefault(status, {"description": why})
    document["components"]["securitySchemes"] = _SCHEMES
    document["security"] = [{}, *({name: []} for name in _SCHEMES)]
    return document

"""Who may call the server, how much, and from where: keys, their limits, and what guards a server without keys."""

from afterfit.serving._security._cors import CrossOrigin
from afterfit.serving._security._gate import KeyGate, make_gate
from afterfit.serving._security._keys import (
    Key,
    KeyLimits,
    Scope,
    create_key,
    read_keys,
    revoke_key,
)
from afterfit.serving._security._listeners import drop_unread
from afterfit.serving._security._protection import Protection, check_protection, is_loopback

__all__ = [
    "CrossOrigin",
    "Key",
    "KeyGate",
    "KeyLimits",
    "Protection",
    "Scope",
    "check_protection",
    "create_key",
    "drop_unread",
    "is_loopback",
    "make_gate",
    "read_keys",
    "revoke_key",
]

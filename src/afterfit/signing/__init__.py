"""Detached signatures of bundles, in the format of OpenSSF model signing: who says that a file is theirs.

Importing this is light; `cryptography` (extra `signing`) is imported when something is signed or verified.
"""

from afterfit.signing._envelope import LIMIT, Statement, read_statement
from afterfit.signing._sign import PASSWORD_VARIABLE, Signer, read_signer
from afterfit.signing._trust import Trust, read_trust

__all__ = [
    "LIMIT",
    "PASSWORD_VARIABLE",
    "Signer",
    "Statement",
    "Trust",
    "read_signer",
    "read_statement",
    "read_trust",
]

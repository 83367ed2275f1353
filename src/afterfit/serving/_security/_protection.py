"""What a server is told about its protection, and whether that is enough for where it listens."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

from afterfit.errors import ArgumentError
from afterfit.serving._security._keys import read_keys

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-_\[\]:]+")


@dataclass(frozen=True, slots=True)
class Protection:
    """Who may call a server.

    `keys`: the path of a file of keys; without one nobody is asked for a key, and only loopback may be listened on.
    `insecure`: whoever reaches the server may call its models without a key, from anywhere; what is for admins, and
    the bundles' files, are closed to them all the same. `certificate` and `private_key`: paths of PEM files, for
    TLS. `origins`: the web pages that may call the server from a browser, such as `https://example.org`; `*` is any.
    """

    keys: str | None = None
    insecure: bool = False
    certificate: str | None = None
    private_key: str | None = None
    origins: tuple[str, ...] = ()

    @property
    def is_encrypted(self) -> bool:
        """Whether the server speaks TLS."""
        return self.certificate is not None


def check_protection(protection: Protection, host: str, workers: int) -> None:
    """Refuse to listen on `host` where that would be careless, or where what is said cannot be used.

    Raises ArgumentError.
    """
    if protection.keys is not None:
        if not read_keys(protection.keys):
            raise ArgumentError(
                f"{protection.keys} has no keys, so nobody could call the server; make one: "
                f"afterfit keys create NAME --file {protection.keys}"
            )
        if sys.platform == "win32" and workers > 1:
            raise ArgumentError("on Windows, keys need --workers 1: their limits cannot be shared there")
    elif not protection.insecure and not is_loopback(host):
        raise ArgumentError(
            f"{host} can be reached from other machines, and the server asks for no key. Make one with "
            "'afterfit keys create NAME --file keys.json' and serve with --keys keys.json, or say --insecure "
            "where something in front of the server checks who calls"
        )
    for origin in protection.origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ArgumentError(
                f"{origin[:100]!r} is no origin; say scheme and host, and the port if there is one, such as "
                "https://example.org"
            )
    _check_certificate(protection)


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches the address. A name that leads nowhere is one."""
    try:
        found = {str(address[4][0]) for address in socket.getaddrinfo(host, None)}
    except OSError:
        return True
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found)


def _check_certificate(protection: Protection) -> None:
    certificate, private_key = protection.certificate, protection.private_key
    if certificate is None and private_key is None:
        return
    if certificate is None or private_key is None:
        raise ArgumentError("TLS needs both a certificate and its private key")
    for path in (certificate, private_key):
        if not Path(path).is_file():
            raise ArgumentError(f"there is no file {path}")
    try:
        # A key under a passphrase would have the server wait for somebody to type it.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            certificate, private_key, password=lambda: b""
        )
    except (OSError, ValueError) as error:
        raise ArgumentError(
            f"{certificate} and {private_key} are no certificate and its private key, both in PEM and the key "
            f"without a passphrase: {error}"
        ) from None

"""Where a load test is sent."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from afterfit.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Target:
    """A server: its address, and the key that every request carries as `Authorization: Bearer`."""

    host: str
    port: int
    prefix: str = ""
    tls: bool = False
    key: str | None = None

    @classmethod
    def parse(cls, url: str, key: str | None = None) -> Target:
        """The target of `http://host:port/prefix`. Raises ArgumentError where that is no such URL."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ArgumentError(f"{url} is no URL of a server: {error}") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ArgumentError(f"{url} is no URL of a server; write it as http://127.0.0.1:8000")
        tls = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if tls else 80), parts.path.rstrip("/"), tls, key)

    @property
    def url(self) -> str:
        """The URL, without the key."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{self.prefix}"

    def request(
        self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json"
    ) -> bytes:
        """A whole HTTP/1.1 request as it goes over the wire."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        lines = [f"{method} {self.prefix}{path} HTTP/1.1", f"host: {host}:{self.port}"]
        if self.key is not None:
            lines.append(f"authorization: Bearer {self.key}")
        if body is not None:
            lines += [f"content-type: {content_type}", f"content-length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")

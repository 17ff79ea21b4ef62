"""Which addresses we may talk to: checked as text before, and as a number while connecting."""

from __future__ import annotations

import ipaddress
import socket
import time
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from integrations.errors import AddressRefused, PlatformUnavailable

_URL_LIMIT = 4000
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which addresses a registration may make us call. Default: https on public addresses."""

    allow_http: bool = False
    allow_private_network: bool = False


@lru_cache(4096)
def check_url(url: str, policy: AddressPolicy) -> None:
    """Refuse what is no plain absolute http(s) URL or is not https without leave (AddressRefused)."""
    if len(url) > _URL_LIMIT or "\\" in url or not url.isprintable() or " " in url:
        raise AddressRefused("bad-address")
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError as error:
        raise AddressRefused("bad-address") from error
    if parts.scheme not in ("http", "https") or not usable:
        raise AddressRefused("bad-address")
    if parts.scheme == "http" and not policy.allow_http:
        raise AddressRefused("not-https")


def connected(host: str, port: int, seconds: float, allow_private: bool) -> socket.socket:
    """Connect to an address of `host` that was looked up once and checked: DNS cannot change in between."""
    until = time.monotonic() + seconds
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise AddressRefused("bad-address", "no host name") from error
    except OSError as error:
        raise PlatformUnavailable("unreachable", "the host name is unknown") from error
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    if any(is_refused(address, allow_private) for address in addresses):
        raise AddressRefused("private-address")
    failure: OSError | None = None
    for address in addresses:
        left = until - time.monotonic()
        if left <= 0:
            break
        try:
            connection = socket.create_connection((address, port), left)
        except OSError as error:
            failure = error
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
    late = failure is None or isinstance(failure, TimeoutError)
    raise PlatformUnavailable("timeout" if late else "unreachable", "no connection") from failure


def is_refused(text: str, allow_private: bool) -> bool:
    """Link-local (cloud metadata), multicast and reserved addresses never, private ones only with leave."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            carried = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        address = carried or address
    if address.is_loopback:
        return not allow_private
    if address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved:
        return True
    return not address.is_global and not allow_private

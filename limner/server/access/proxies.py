"""The peer of a connection: its address, and whether it is a trusted proxy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.types import Scope

# Headers in which a proxy describes the client; removed unless the proxy is trusted.
_SAID_BY_PROXIES = b"x-forwarded-"
_FORWARDED = b"forwarded"
_SUBNET_BITS = 64  # of IPv6: one customer has at least such a network


class Proxies:
    """The proxies of LIMNER_PROXIES: addresses and networks."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ip_network(network) for network in networks]

    def trusts(self, host: str) -> bool:
        """Whether address `host` is a trusted proxy."""
        if not self._networks:
            return False
        address = _address(host)
        return address is not None and any(address in network for network in self._networks)

    def believed(self, scope: Scope) -> Scope:
        """`scope` without forwarding headers, unless a trusted proxy sent it."""
        if self.trusts(peer(scope)):
            return scope
        headers = [pair for pair in scope["headers"] if not _is_of_proxies(pair[0])]
        return {**scope, "headers": headers}


def peer(scope: Scope) -> str:
    """The address of the peer; empty for a Unix socket."""
    client = scope.get("client")
    return client[0] if client else ""


def subscriber(host: str) -> str:
    """The address `host`, or for IPv6 its network: one subscriber has a whole network."""
    address = _address(host)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _SUBNET_BITS), strict=False))
    return str(address or host)


@lru_cache(4096)
def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    # A socket that listens on :: shows IPv4 clients this way.
    return getattr(address, "ipv4_mapped", None) or address


def _is_of_proxies(name: bytes) -> bool:
    return name == _FORWARDED or name.startswith(_SAID_BY_PROXIES)

"""Hosts of our own: network namespaces, each joined to one switch and to us."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from typing import Self

import pytest

from tests.support.need import need


class Network:
    """A switch with hosts on it, in namespaces of this test alone; needs root and a kernel that lets us.

    Every host has the interface `lan` on the switch, with the addresses that the test gives it, and the interface
    `us`, by which the test reaches it whatever happens on the switch.
    """

    def __init__(self) -> None:
        self._ip = need("ip")
        self._tag = secrets.token_hex(3)
        self._subnet = f"10.{secrets.randbelow(100) + 100}.{secrets.randbelow(250)}"
        self._spaces: list[str] = []
        self._links: list[str] = []

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            pytest.skip("network namespaces need root")
        self._space("switch")
        try:
            self._run("-n", self._name("switch"), "link", "add", "bridge", "type", "bridge")
            self._run("-n", self._name("switch"), "link", "set", "bridge", "up")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove it all; what runs in a namespace keeps it until it ends."""
        for link in self._links:
            with contextlib.suppress(subprocess.CalledProcessError):
                self._run("link", "del", link)
        for space in self._spaces:
            with contextlib.suppress(subprocess.CalledProcessError):
                self._run("netns", "del", space)

    def add_host(self, host: str, *addresses: str) -> str:
        """Add a host with these addresses (`192.168.7.2/24`) on the switch; return the address that we reach it at."""
        number = len(self._links) + 1
        name = self._name(host)
        self._space(host)
        outer, port = f"m{self._tag}{number}", f"port{number}"
        self._run("link", "add", outer, "type", "veth", "peer", "name", "us", "netns", name)
        self._links.append(outer)
        self._run("addr", "add", f"{self._subnet}.{4 * number + 1}/30", "dev", outer)
        self._run("link", "set", outer, "up")
        self.ip(host, "addr", "add", f"{self._subnet}.{4 * number + 2}/30", "dev", "us")
        self.ip(host, "link", "set", "us", "up")
        switch = self._name("switch")
        self.ip(host, "link", "add", "lan", "type", "veth", "peer", "name", port, "netns", switch)
        self._run("-n", switch, "link", "set", port, "master", "bridge")
        self._run("-n", switch, "link", "set", port, "up")
        self.ip(host, "link", "set", "lan", "up")
        for address in addresses:
            self.ip(host, "addr", "add", address, "dev", "lan")
        return f"{self._subnet}.{4 * number + 2}"

    def move(self, host: str, old: str, new: str) -> None:
        """Give a host another address on the switch."""
        self.ip(host, "addr", "del", old, "dev", "lan")
        self.ip(host, "addr", "add", new, "dev", "lan")

    def ip(self, host: str, *arguments: str) -> str:
        """Run `ip` on a host."""
        return self._run("-n", self._name(host), *arguments)

    def on(self, host: str) -> tuple[str, ...]:
        """Return the command prefix that runs a program on a host."""
        return (self._ip, "netns", "exec", self._name(host))

    def _name(self, host: str) -> str:
        return f"muster-{self._tag}-{host}"

    def _space(self, host: str) -> None:
        name = self._name(host)
        try:
            self._run("netns", "add", name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this machine does not let us make network namespaces: {error.stderr.strip()}")
        self._spaces.append(name)
        self._run("-n", name, "link", "set", "lo", "up")

    def _run(self, *arguments: str) -> str:
        return subprocess.run([self._ip, *arguments], check=True, capture_output=True, text=True, timeout=20).stdout

"""`muster up` and `muster server`: the server itself."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from supervisor.server.config import Config, ConfigError, load_config
from supervisor.server.settings import LOOPBACK

R = TypeVar("R")

#: All addresses of this machine: what `--lan` opens.
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - on request only, and only with credentials
_OUTSIDE = re.compile(r"[0-9.]+")
#: Seconds for a broker to say whether it lets strangers in.
_PROBE_TIMEOUT = 1.0


def server_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add the flags that both commands have; the function gets them as `flags`, what is left as keywords."""

    @click.option("--config", metavar="FILE", help="TOML file; else ./muster.toml, else /etc/muster/muster.toml.")
    @click.option("--http", metavar="HOST:PORT", help="Where the page and the API listen.  [127.0.0.1:5000]")
    @click.option("--data-dir", metavar="DIR", help="Where everything is kept.")
    @click.option("--offline-after", metavar="SECONDS", help="Silence after which a device is offline.")
    @click.option("--log", type=click.Choice(("text", "json")), help="Form of the log on stderr.")
    @functools.wraps(command)
    def wrapper(**options: Any) -> R:
        names = ("config", "http", "data_dir", "offline_after", "log")
        flags = {name: options.pop(name) for name in names}
        if "broker_port" in options:
            flags["broker_port"] = options.pop("broker_port")
        return command(load_config(flags, os.environ, cwd=Path.cwd()), **options)

    return wrapper


@click.command(short_help="Run everything on this machine.")
@click.option("--demo", is_flag=True, help="Add a simulated fleet that speaks real MQTT.")
@click.option("--lan", is_flag=True, help="Let other machines in, with credentials.")
@click.option("--tls", is_flag=True, help="With --lan: encrypt page and broker, by an authority of its own.")
@click.option("--broker-port", metavar="PORT", help="Where the embedded broker listens.  [1883 if it is free]")
@server_options
def up(config: Config, *, demo: bool, lan: bool, tls: bool) -> int:
    """Run everything on this machine: broker, database, server and page. Ctrl-C stops it.

    A broker of its own runs unless MUSTER_BROKER_URL or the file names one. With --lan it lets in those alone who have
    its password, which devices get when they enrol.
    """
    if tls and not lan:
        raise click.UsageError("--tls belongs to --lan: on this machine alone nothing has to be encrypted.")
    config = open_to_lan(config) if lan else config
    if config.broker_given or not lan:
        check_exposure(config, remedy="or start it with `--lan`, which makes some" if not config.broker_given else "")
        refuse_open_brokers(config)
    from supervisor.server.boot import run_up

    return run_up(config, demo=demo, lan=lan, tls=tls)


@click.command(short_help="Run the server alone.")
@server_options
def server(config: Config) -> int:
    """Run the server with the brokers that are configured."""
    check_exposure(config)
    refuse_open_brokers(config)
    from supervisor.server.boot import run_server

    return run_server(config)


def open_to_lan(config: Config) -> Config:
    """Return a copy that listens on every address, unless an address was chosen already."""
    if not config.http.is_loopback:
        return config
    return config.with_http(msgspec.structs.replace(config.http, host=_EVERYWHERE))


def check_exposure(config: Config, *, remedy: str = "") -> None:
    """Refuse to listen wider than loopback as long as a broker lets everybody in.

    Args:
        config: what is to be started.
        remedy: what else would help, said at the end of the refusal.

    Raises:
        ConfigError: with the command that makes credentials.

    """
    if config.http.is_loopback:
        return
    for broker in config.brokers:
        if not ((broker.username and broker.password) or broker.tls.cert):
            raise ConfigError(
                f"Listening on {config.http.host} opens Muster to other machines, but the broker `{broker.name}` has no"
                " credentials: make some with `mosquitto_passwd -c /etc/mosquitto/passwd muster` and set"
                " MUSTER_BROKER_URL=mqtt://muster:PASSWORD@HOST:1883" + (f", {remedy}." if remedy else ".")
            )


def refuse_open_brokers(config: Config) -> None:
    """Refuse to serve other machines beside a broker that lets in whoever comes from one; one that is away may be so.

    Raises:
        ConfigError: with what mends it.

    """
    if config.http.is_loopback:
        return
    from actors.link.options import BrokerOptions
    from supervisor.server.probe import is_let_in

    for broker in config.brokers:
        # A broker that we reach on loopback may listen there alone, or everywhere.
        hosts = _own_addresses() if broker.host in LOOPBACK else [broker.host]
        for host in hosts:
            options = BrokerOptions(
                host=host, port=broker.port, tls=broker.uses_tls, ca_file=broker.tls.ca if broker.uses_tls else ""
            )
            if is_let_in(options, None, timeout=_PROBE_TIMEOUT):
                raise ConfigError(
                    f"Listening on {config.http.host} opens Muster to other machines, but the broker `{broker.name}`"
                    f" lets in whoever comes to {host}:{broker.port}: run `sudo muster install server`, or set"
                    " `allow_anonymous false` in mosquitto.conf and restart it."
                )


def _own_addresses() -> list[str]:
    """Return the addresses by which other machines may reach this one."""
    import psutil

    found = (address.address for interface in psutil.net_if_addrs().values() for address in interface)
    return [address for address in found if _OUTSIDE.fullmatch(address) and not address.startswith("127.")]

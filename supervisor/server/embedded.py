"""The broker that `muster up` brings along: the system's mosquitto with a generated configuration, else amqtt.

It listens on loopback, where devices need no credentials; with `lan` on every address, for its users alone. Its port
stays the same when it is started again, also in a later run, so that devices find it. What mosquitto has queued for the
server's persistent session lies in `data_dir/broker` and survives both.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import pwd
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from .access.dynsec_file import find_plugin
from .access.files import PASSWORDS, RIGHTS
from .access.settings import Mechanism
from .access.users import DYNSEC, Users, write_start
from .child import ChildError, ChildProcess, ProcessActor
from .mosquitto import Access, BrokerUser, ClientTrust, Listener, TlsFiles, keeping_lines
from .probe import probe_broker
from .values import broker_url

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
STANDARD_PORT, TLS_PORT, CERTIFICATE_PORT = 1883, 8883, 8884
#: Debian keeps daemons out of a user's PATH; the others are Homebrew's and a build from source.
_SBIN = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
_START_TIMEOUT = 15.0
_PORT_PATIENCE = 2.0

Implementation = Literal["auto", "mosquitto", "amqtt"]


class BrokerError(ChildError):
    """The embedded broker cannot be started; the message is one sentence that says how to mend it."""


def find_mosquitto(path: str | None = None) -> str | None:
    """Return the path of the system's mosquitto, or None."""
    return shutil.which("mosquitto", path=path) or shutil.which("mosquitto", path=_SBIN)


def has_amqtt() -> bool:
    """Return whether the fallback broker is installed."""
    return importlib.util.find_spec("amqtt") is not None


class BrokerTls(NamedTuple):
    """What a broker that other machines reach encrypts with; paths of PEM files."""

    cert: Path
    """Certificate and key in one file, which is replaced at once."""
    ca: Path
    """The authority of servers and devices."""
    crl: Path
    """What that has revoked."""


class BrokerProcess:
    """The broker as a child process; outlives the actor that looks after it."""

    name = "embedded broker"

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        implementation: Implementation = "auto",
        users: Users | None = None,
        lan: bool = True,
        tls: BrokerTls | None = None,
        mechanism: Mechanism = "auto",
    ) -> None:
        """Decide what to run, and start nothing.

        Args:
            directory: For its configuration, its log and what it keeps; made when missing.
            port: The port to listen on; 0 takes that of the last run, 1883 or any free one.
            implementation: `auto` takes mosquitto where it is installed.
            users: Who may use it, beside the devices that it is told of; None: everybody on this machine.
            lan: With users: opens it to other machines, and closes it to whoever shows nothing.
            tls: Has other machines encrypt: `tls_port` is for passwords, `certificate_port` for certificates.
            mechanism: How it is told of devices; `auto` takes dynamic security where the plugin is found.

        Raises:
            BrokerError: if neither broker is installed, or one is wanted that has no users.

        """
        self._directory = directory
        self._wanted_port = port
        self._port = 0
        self._executable = None if implementation == "amqtt" else find_mosquitto()
        if self._executable is None and (implementation == "mosquitto" or not has_amqtt()):
            raise BrokerError(
                "No MQTT broker is installed: run `apt install mosquitto`, or `pip install 'muster-fleet[broker]'`"
                " for a simple one, or set MUSTER_BROKER_URL to a broker that you have."
            )
        if users is not None and lan and self._executable is None:
            raise BrokerError(
                "Only mosquitto may be opened to other machines: run `apt install mosquitto`, or set MUSTER_BROKER_URL"
                " to a broker that you have."
            )
        self._users = users if self._executable is not None else None
        self._lan, self._tls = lan, tls
        self._plugin = find_plugin() if mechanism in ("auto", "dynsec") else ""
        self._wanted_mechanism = mechanism
        self._is_told = False
        if mechanism == "dynsec" and not self._plugin:
            raise BrokerError(
                "`broker_access.mechanism` is `dynsec`, but Mosquitto's plugin for it is not installed: take `auto`."
            )
        self.tls_port = self.certificate_port = 0
        """Where it listens for other machines; 0 without TLS and before the first start."""
        self._child: ChildProcess | None = None

    @property
    def durable(self) -> bool:
        """Whether it keeps messages for clients that are away, and over its own restart."""
        return self._executable is not None

    @property
    def mechanism(self) -> Mechanism:
        """How it is told of devices: `dynsec`, `files`, or `none` where everybody may do everything."""
        if self._users is None or self._wanted_mechanism == "none":
            return "none"
        return "dynsec" if self._plugin else "files"

    @property
    def lets_anybody_in(self) -> bool:
        """Whether who shows nothing is let in: on this machine alone."""
        return self._users is None or not self._lan

    @property
    def port(self) -> int:
        """Return the port it listens on, 0 before the first start."""
        return self._port

    @property
    def url(self) -> str:
        """Return what the server connects to; with its password where there are users."""
        server = self._users.server if self._users else BrokerUser("", "")
        return broker_url(HOST, self._port, tls=False, username=server.name, password=server.password)

    @property
    def pid(self) -> int:
        """Return the process id of the current run's trampoline, 0 before the first start."""
        return self._child.pid if self._child else 0

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.running

    def start(self) -> None:
        """Start the broker and return when it has answered an MQTT CONNECT; at once when it runs already.

        Raises:
            BrokerError: if it does not, with the last line of its log.

        """
        if self.running:
            return
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._port = self._port or self._wanted_port or self._choose_port("port", STANDARD_PORT)
        if self._tls is not None:
            self.tls_port = self.tls_port or self._choose_port("tls-port", TLS_PORT)
            self.certificate_port = self.certificate_port or self._choose_port("certificate-port", CERTIFICATE_PORT)
        if not _becomes_free(self._host, self._port, _PORT_PATIENCE if self._child else 0.0):
            raise BrokerError(f"Port {self._port}, where the embedded broker listens, is taken by another program.")
        try:
            self._launch()
        except BrokerError:
            if not self._set_damaged_store_aside():
                raise
            self._launch()
        for name, port in (
            ("port", self._port),
            ("tls-port", self.tls_port),
            ("certificate-port", self.certificate_port),
        ):
            if port:
                _write(self._directory / name, f"{port}\n")

    def wait(self) -> int:
        """Block until it has ended; return its exit code."""
        assert self._child is not None, "start() first"
        return self._child.wait()

    def stop(self) -> None:
        """End it in order: mosquitto saves what it has queued."""
        if self._child is not None:
            self._child.stop()

    def reload(self) -> None:
        """Have it read certificates, revocations, passwords and rights anew; connections stay as they are."""
        if self._child is not None and self.durable:
            self._child.reload()

    def kill(self) -> None:
        """End it at once."""
        if self._child is not None:
            self._child.kill()

    def _launch(self) -> None:
        if self._child is not None:
            self._child.stop()
        self._child = ChildProcess(self.name, self._command(), log=self._log)
        self._child.start()
        deadline = time.monotonic() + _START_TIMEOUT
        while not probe_broker(HOST, self._port, timeout=1.0) or not self._child.running:
            if not self._child.running or time.monotonic() > deadline:
                self._child.stop()
                raise BrokerError(f"The embedded broker did not start: {self._last_log_line()}.")
            time.sleep(0.01)

    def _command(self) -> list[str]:
        if self._executable is None:
            script = Path(__file__).with_name("amqtt_broker.py")
            return [sys.executable, "-P", str(script), str(self._port)]
        path = self._directory / "mosquitto.conf"
        access = self._write_access()
        _write(path, mosquitto_configuration(self._directory, self._listeners(), access))
        return [self._executable, "-c", str(path)]

    @property
    def _host(self) -> str:
        """Where it listens in the clear; empty: everywhere."""
        return "" if self._users and self._lan and not self._tls else HOST

    def _listeners(self) -> list[Listener]:
        plain = Listener(self._port, self._host)
        if self._tls is None:
            return [plain]
        cert, ca, crl = map(str, self._tls)
        files = TlsFiles(ca=ca, cert=cert, key=cert)
        named = Listener(self.certificate_port, tls=files, clients=ClientTrust(ca, crl))
        return [plain, Listener(self.tls_port, tls=files), named]

    def _write_access(self) -> Access | None:
        """Write who may do what; None where everybody on this machine may do everything."""
        if self._users is None:
            return None
        with_plugin = self.mechanism == "dynsec"
        if not self._is_told:
            # Later it is the server that says who there is: a broker that is started again finds that.
            write_start(self._directory, self._users, dynsec=with_plugin, anonymous=self.lets_anybody_in)
            self._is_told = True
        passwords, rights, plugin_file = (str(self._directory / name) for name in (PASSWORDS, RIGHTS, DYNSEC))
        plugin = self._plugin if with_plugin else ""
        return Access(passwords, rights, plugin, plugin_file, anonymous=self.lets_anybody_in)

    def _choose_port(self, name: str, standard: int) -> int:
        """Return the port of the last run, which is in the file `name`, else the standard one, else any."""
        host = self._host if name == "port" else ""
        taken = (self._port, self.tls_port, self.certificate_port)
        for port in (self._last_port(name), standard):
            if port and port not in taken and _is_free(host, port):
                return port
        with socket.socket() as listener:
            listener.bind((host, 0))
            port = listener.getsockname()[1]
            assert isinstance(port, int)
            return port

    def _last_port(self, name: str) -> int:
        try:
            return int((self._directory / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def _set_damaged_store_aside(self) -> bool:
        """Rename a store that mosquitto cannot read (a power cut leaves such): a broker without it beats none."""
        store = self._directory / "mosquitto.db"
        if "Couldn't open database" not in self._read_log() or not store.exists():
            return False
        aside = store.with_name(f"mosquitto.db.damaged-{int(time.time())}")
        store.rename(aside)
        logger.error("The embedded broker could not read what it had saved; it begins anew, the old file is %s", aside)
        return True

    @property
    def _log(self) -> Path:
        return self._directory / "broker.log"

    def _read_log(self) -> str:
        try:
            return self._log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _last_log_line(self) -> str:
        lines = self._read_log().strip().splitlines()
        return lines[-1].rstrip(".") if lines else f"it said nothing in {self._log}"


class EmbeddedBroker(ProcessActor):
    """The actor that looks after a `BrokerProcess`."""

    def __init__(self, process: BrokerProcess) -> None:
        super().__init__(process)


def mosquitto_configuration(directory: Path, listeners: Sequence[Listener], access: Access | None) -> str:
    """Return the configuration of a mosquitto that queues by bytes and loses nothing it queued.

    Args:
        directory: where it keeps what it has queued.
        listeners: where it listens.
        access: who may use it; None is everybody who reaches it.

    """
    lines = [
        "# Written by Muster at each start; changes are lost.",
        *(access.lines if access is not None else ["allow_anonymous true"]),
        *keeping_lines(),
        f"persistence_location {directory}/",
        "connection_messages false",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
    ]
    for listener in listeners:
        lines += listener.lines
    try:
        # Started as root it would become the user `mosquitto`, who may not read our directory.
        lines.append(f"user {pwd.getpwuid(os.geteuid()).pw_name}")
    except KeyError:
        logger.debug("This user id has no name; mosquitto keeps it anyway unless it is root's.")
    return "\n".join(lines) + "\n"


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as listener:
        # As the broker does: connections of the last run that linger are no reason to move.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
        return True


def _becomes_free(host: str, port: int, patience: float) -> bool:
    """Return whether the port is free within `patience` seconds: a killed broker gives it back a moment later."""
    deadline = time.monotonic() + patience
    while not _is_free(host, port):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)

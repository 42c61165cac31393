"""A real Mosquitto that is told of its users by one of the two mechanisms."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import replace

from actors.link.options import BrokerOptions
from supervisor.server.access.accounts import Account, Everyone
from supervisor.server.access.dynsec import Dynsec
from supervisor.server.access.dynsec_file import find_plugin
from supervisor.server.access.files import PASSWORDS, RIGHTS, Files
from supervisor.server.access.settings import ProgramUser
from supervisor.server.access.users import DYNSEC, Users, write_start
from supervisor.server.mosquitto import DEVICES, SERVER, Access, BrokerUser
from supervisor.server.probe import is_let_in
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Device

PREFIXES = ("harit-samarth",)
SERVER_USER = BrokerUser(SERVER, "the server's password")
SHARED_USER = BrokerUser(DEVICES, "what all devices share")
MECHANISMS = ("dynsec", "files")


class Guarded(Mosquitto):
    """Closed to everybody but those that `mechanism` names; a context manager."""

    def __init__(
        self,
        how: str,
        *,
        tls: bool = False,
        anonymous: bool = False,
        shared: bool = True,
        programs: Sequence[ProgramUser] = (),
    ) -> None:
        super().__init__(tls=tls)
        self.how, self.anonymous = how, anonymous
        self.users = Users(SERVER_USER, SHARED_USER if shared else None, PREFIXES, programs=programs)
        self.files = self.make_files()
        self.mechanism = self.make_mechanism("muster-test-access")
        self.devices: dict[str, Account] = {}
        self.each_user = lambda: self.users.servers
        """With whom the server may connect."""

    def make_files(self) -> Files:
        return Files(self.directory, reload=self.reload, check=self.lets_in)

    def make_mechanism(self, client_id: str) -> Files | Dynsec:
        return self.files if self.how == "files" else Dynsec(self.each_options, client_id, self.files)

    def prepare(self) -> None:
        super().prepare()
        dynsec = self.how == "dynsec"
        if not (self.directory / PASSWORDS).exists():
            write_start(self.directory, self.users, dynsec=dynsec, anonymous=self.anonymous)
        plugin = find_plugin() if dynsec else ""
        names = (str(self.directory / name) for name in (PASSWORDS, RIGHTS))
        access = Access(*names, plugin, str(self.directory / DYNSEC), anonymous=self.anonymous)
        path = self.directory / "mosquitto.conf"
        # With `max_queued_messages 0` it breaks the connection of who publishes what he may not.
        others = ("allow_anonymous", "max_queued_messages")
        lines = [line for line in path.read_text().splitlines() if not line.startswith(others)]
        path.write_text("\n".join([*lines, *access.lines, f"max_queued_messages {10**9}"]) + "\n")

    def options(self) -> BrokerOptions:
        ca_file = str(self.authority.ca_file) if self.authority else ""
        return BrokerOptions(
            host=self.host,
            port=self.port,
            username=self.users.server.name,
            password=self.users.server.password,
            tls=bool(self.authority),
            ca_file=ca_file,
        )

    def each_options(self) -> list[BrokerOptions]:
        users = self.each_user()
        return [replace(self.options(), username=user.name, password=user.password) for user in users]

    def lets_in(self, user: BrokerUser | None) -> bool | None:
        pinned = user.name if user is not None and self.how == "dynsec" else ""
        return is_let_in(self.options(), user, client_id=pinned)

    def reload(self) -> None:
        self.process.send(signal.SIGHUP)

    def everyone(self) -> Everyone:
        return self.users.with_devices(list(self.devices.values()), anonymous=self.anonymous)

    def put(self, *accounts: Account) -> None:
        self.devices.update({account.serial: account for account in accounts})
        while accounts:
            taken = self.mechanism.apply(self.everyone(), accounts, ())
            assert taken
            accounts = [account for account in accounts if account.serial not in taken]

    def use(self, server: BrokerUser, ending: BrokerUser | None) -> None:
        """Change the users of the server."""
        before = self.users
        self.users = before._replace(server=server, ending=ending)
        self.mechanism.apply(self.everyone(), (), ())

    def allow(self, account: Account) -> None:
        """Change what a device may read."""
        self.devices[account.serial] = account
        self.mechanism.apply(self.everyone(), (), (), [account])

    def remove(self, *serials: str) -> None:
        for serial in serials:
            self.devices.pop(serial, None)
        self.mechanism.apply(self.everyone(), (), serials)

    def client(self, name: str, password: str, client_id: str | None = None, **options) -> Device:
        url = f"{self.url.partition('//')[0]}//{name}:{password.replace(' ', '%20')}@{self.host}:{self.port}"
        ca_file = self.authority.ca_file if self.authority else None
        device = Device(url, client_id=client_id or name, ca_file=ca_file, **options)
        device.client.username_pw_set(name, password)
        return device

    def server(self) -> Device:
        return self.client(*SERVER_USER, client_id="server")

"""What runs on the hosts of `test_network`: `server ADDRESS announce|silent`, `device URL TOKEN`."""

from __future__ import annotations

import json
import signal
import socket
import sys
from pathlib import Path

from zeroconf import IPVersion, ServiceInfo, Zeroconf

from actors.resolver.budget import Budget
from edge.bearings import Credentials, MqttAccess
from edge.finding import mdns
from edge.finding.browse import SERVICE
from edge.finding.places import PORT
from edge.finding.search import Found, Search
from edge.settings import EdgeSettings
from tests.support.registrar import KEY, Registrar


def server(address, announces):
    """A server on port 5000 of all addresses, until it is killed."""
    network = Zeroconf(interfaces=[address], ip_version=IPVersion.V4Only)
    if announces == "announce":
        texts = {"url": f"http://{address}:{PORT}", "server_id": "srv-1", "version": "0.1.0"}
        addresses = [socket.inet_aton(address)]
        info = ServiceInfo(SERVICE, f"Muster.{SERVICE}", addresses=addresses, port=PORT, properties=texts)
        network.register_service(info)
    with Registrar(host="0.0.0.0", port=PORT):
        print("READY", flush=True)
        signal.pause()


def device(last_url, token):
    """Search once and print what was found."""
    mdns.SECONDS, mdns.START_UP = 10.0, 20.0
    credentials = Credentials("pi-1", "srv-1", "", MqttAccess("h", 1), token, last_url, 1.0) if last_url else None
    search = Search(EdgeSettings(enrolment_key=KEY), "pi-1", Path("/nonexistent"))
    result = search.run(credentials, Budget(60), wide=True)
    found = [result.place.source, result.place.url] if isinstance(result, Found) else result.detail
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    {"server": server, "device": device}[sys.argv[1]](*sys.argv[2:])

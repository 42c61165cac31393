"""Stands between a device and its server, as a stranger in the same network can: passes all on and reads along."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

NOT_PASSED_ON = ("host", "connection", "transfer-encoding")


class Relay:
    """An HTTP relay on a port of its own; a context manager. What it has read is in `bodies`."""

    def __init__(self, server_url, *, host=""):
        self.target = urlsplit(server_url).netloc
        self.host = host
        """The Host header with which it asks on; empty passes the device's own on."""
        self.bodies = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self):
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self._pass_on(None)

            def do_POST(self):
                relay.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self._pass_on(relay.bodies[-1])

            def _pass_on(self, body):
                headers = {name: value for name, value in self.headers.items() if name.lower() not in NOT_PASSED_ON}
                headers["Host"] = relay.host or self.headers["Host"]
                connection = http.client.HTTPConnection(relay.target, timeout=10)
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc_info):
        self._http.shutdown()
        self._http.server_close()

"""`python -m edge.certificate.child`: what needs the library for certificates, in a process that is soon gone.

    request SERIAL    a new key and a request to sign it; prints {"key": PEM, "request": PEM}
    dates FILE        prints {"begin": seconds, "end": seconds} of the first certificate in a file

The library takes 18 MB, more than all else that an edge keeps in memory for its work.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> int:
    """Run one of both."""
    match arguments:
        case ["request", serial]:
            from supervisor.pki.certificates import make_request

            request, key = make_request(serial)
            told: dict[str, object] = {"key": key.decode(), "request": request.decode()}
        case ["dates", path]:
            from cryptography import x509

            certificate = x509.load_pem_x509_certificate(Path(path).read_bytes())
            begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            told = {"begin": begin.timestamp(), "end": end.timestamp()}
        case _:
            sys.stderr.write("usage: python -m edge.certificate.child request SERIAL | dates FILE\n")
            return 2
    sys.stdout.write(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Proves once more that a server is ours, right before a token goes to it over a connection of its own.

The uplink notices when its connection fails. Who asks once in a while has none: by then another machine may have the
address, and nobody has noticed yet.
"""

from __future__ import annotations

import logging

from actors.uplink.poster import ServerAddress
from edge.bearings import Bearings
from edge.enrol import ImpostorError, StrangerError, inspect
from edge.finding.proof import Secrets

logger = logging.getLogger(__name__)


def still_ours(bearings: Bearings, device_id: str) -> ServerAddress | None:
    """Return the server, proved a moment ago; None if it proves nothing, cannot be reached, or is not known.

    One that we were told of with a token by configuration has no secret to prove itself by; it is taken as it is.
    """
    server, credentials = bearings.server(), bearings.credentials
    if server is None or credentials is None or server.token != credentials.token:
        return server
    try:
        inspect(server.url, device_id, Secrets(token=server.token), ca_file=server.ca_file)
    except ImpostorError as error:
        logger.warning("%s is not our server any more: %s.", server.url, error)
        bearings.lost()
        return None
    except StrangerError as error:
        logger.info("%s cannot prove that it is our server: %s.", server.url, error)
        return None
    return server

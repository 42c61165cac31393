"""What the face of notifications answers before the server is ready to take any."""

from __future__ import annotations

import pytest
from pykka import ActorDeadError

from actors.notifications import Message
from actors.runtime import Runtime
from actors.targets import Target
from supervisor.server.notifications import NotificationsFace
from supervisor.server.parts import Parts
from supervisor.server.settings import Config

WHO = {"by": "operate ops", "address": "10.0.0.7", "key": ""}
TO_KNOWN = (Message(title="Hot"), Target(device="pi-1"), "")


@pytest.fixture
def face(tmp_path):
    return NotificationsFace(Parts(Config(data_dir=str(tmp_path)), Runtime.system(), "0a1b2c3d"))


def test_whoever_sends_while_the_fleet_is_loaded_is_told_to_ask_again_and_not_that_a_device_is_unknown(face):
    with pytest.raises(ActorDeadError):
        face.send(TO_KNOWN, **WHO)
    with pytest.raises(ActorDeadError):
        face.send_all([TO_KNOWN], **WHO)

"""The edge's connection to an Azure IoT Hub, where a connection string is known: twin, and scans to the cloud."""

from __future__ import annotations

from edge.hub.board import HubBoard, HubState, HubStatus
from edge.hub.parts import HubParts, TwinSource
from edge.hub.settings_twin import SettingsTwin
from edge.hub.tree import hub_specs

__all__ = ["HubBoard", "HubParts", "HubState", "HubStatus", "SettingsTwin", "TwinSource", "hub_specs"]

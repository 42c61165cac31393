"""The bridge to Home Assistant in this server."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from actors.home_assistant.actor import HomeAssistantActor, HomeSurroundings
from actors.storage.result import CommitResult
from supervisor.server.parts import Parts


def home_assistant(parts: Parts) -> HomeAssistantActor:
    """Return the bridge; where it is switched off it takes back what was told, and ends there."""
    links = [f"{broker.name}.control" for broker in parts.config.brokers]
    return HomeAssistantActor(
        HomeSurroundings(
            runtime=parts.runtime,
            services=parts.services,
            settings=parts.config.home_assistant,
            server_id=parts.server_id,
            link=f"{home_broker(parts)}.control",
            links={link: parts.link_boards[link] for link in links},
            fleet=parts.fleet,
            write=parts.ask_registry,
            read=parts.readers.ask,
            tap=parts.home_tap,
            watch_server=parts.config.primary,
        )
    )


def tell_home_assistant(parts: Parts, result: CommitResult) -> None:
    """Hand on of a commit what Home Assistant is told of."""
    parts.home_tap.put(result.new, result.deleted)


def watched_topics(parts: Parts, broker: str) -> Mapping[str, Callable[[bytes], None]]:
    """Return what the control link of a broker listens to for the bridge."""
    settings = parts.config.home_assistant
    if not settings.enabled or broker != home_broker(parts):
        return {}
    return {settings.status_topic: parts.home_tap.heard}


def home_broker(parts: Parts) -> str:
    """Return the name of the broker that Home Assistant is at."""
    return parts.config.home_assistant.broker or parts.config.brokers[0].name

"""The face of the resolver to other threads: what is in the roll call is answered at once, the rest is asked for.

So a search for a device that is away never delays the answer about one that is present.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pykka import ActorDeadError, ActorRef

from actors.messages import DeviceSnapshot
from actors.resolver.actor import Resolve, ResolverActor
from actors.resolver.chain import TOTAL_SECONDS, PresenceOf, from_roll_call, of_type, select_primary
from actors.resolver.resolution import Resolution
from actors.runtime import Clock, SystemClock

#: Seconds that an answer of the actor is waited for; `find` waits for 10 s.
ASK_TIMEOUT = TOTAL_SECONDS + 0.5


class ResolverFront:
    """Resolves from any thread that may block.

    Args:
        roll: Returns the devices known now.
        presence: Tells the presence of a device as the fleet sees it now.
        actor: Returns the running `ResolverActor`, None while there is none.
        clock: Stamps the answers.

    """

    def __init__(
        self,
        *,
        roll: Callable[[], Sequence[DeviceSnapshot]],
        presence: PresenceOf,
        actor: Callable[[], ActorRef[ResolverActor] | None],
        clock: Clock | None = None,
    ) -> None:
        self._roll = roll
        self._presence = presence
        self._actor = actor
        self._clock: Clock = clock or SystemClock()

    def find(self, device_type: str) -> Resolution | None:
        """Return where the primary device of a type is; None if there is none or it is not found.

        Raises:
            pykka.ActorDeadError: the actor is being restarted.
            pykka.Timeout: it is busy with other searches for longer than `ASK_TIMEOUT`.

        """
        primary = select_primary(of_type(self._roll(), device_type), self._presence)
        if primary is None:
            return None
        present = from_roll_call(primary, self._presence(primary), now=self._clock.time())
        return present or self._ask(device_type)

    def resolve(self, device_type: str) -> dict[str, str | int | None] | None:
        """Return the body of `GET /api/resolve`, None for not found; raises as `find` does."""
        found = self.find(device_type)
        return found.to_json() if found else None

    def _ask(self, device_type: str) -> Resolution | None:
        actor = self._actor()
        if actor is None:
            raise ActorDeadError("the resolver is not running")
        answer: Resolution | None = actor.ask(Resolve(device_type), block=True, timeout=ASK_TIMEOUT)
        return answer

"""The edge's tree: the same supervisors as on the server, with the actors of a device under them."""

from __future__ import annotations

from actors.runtime import Runtime
from edge.vitals import VitalsActor
from supervisor import ChildSpec, Intensity, Supervisor


def edge_tree(runtime: Runtime) -> Supervisor:
    """Return the tree, not yet started."""
    return Supervisor(
        runtime=runtime,
        name="edge",
        intensity=Intensity(restarts=10, within=60.0),
        children=(ChildSpec("vitals", lambda: VitalsActor(runtime.clock), hang_after=10.0),),
    )

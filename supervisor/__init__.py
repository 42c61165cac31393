"""Supervision for pykka actors: OTP's supervisors, in the open.

This is the library part: it needs pykka and `actors.runtime`, nothing else. The server that Muster builds on it is in
`supervisor.server`, its commands in `supervisor.cli`; neither is loaded from here.
"""

from __future__ import annotations

from supervisor.api import (
    count_children,
    delete_child,
    describe,
    get_spec,
    quarantine,
    restart,
    restart_child,
    resume,
    start_child,
    terminate_child,
    which_children,
)
from supervisor.breaker import Breaker, Fault
from supervisor.child import LastError
from supervisor.crashlog import Crash
from supervisor.dynamic import DynamicSupervisor
from supervisor.errors import (
    AlreadyPresentError,
    AlreadyStartedError,
    ChildNotFoundError,
    ChildRestartingError,
    ChildRunningError,
    ChildStartError,
    InvalidSpecError,
    MaxChildrenError,
    RestartIntensityExceeded,
    StartTimeoutError,
    SupervisionError,
    SupervisorStoppingError,
)
from supervisor.intensity import Intensity
from supervisor.messages import (
    BounceChild,
    ChildCounts,
    ChildInfo,
    CountChildren,
    DeadMail,
    DeleteChild,
    GetSpec,
    QuarantineChild,
    RestartChild,
    ResumeChild,
    StartChild,
    StartTemplated,
    TerminateChild,
    WhichChildren,
)
from supervisor.root import Root
from supervisor.spec import BackoffPolicy, ChildSpec, Strategy
from supervisor.status import TreeView
from supervisor.supervisor import Supervisor

__all__ = [
    "AlreadyPresentError",
    "AlreadyStartedError",
    "BackoffPolicy",
    "BounceChild",
    "Breaker",
    "ChildCounts",
    "ChildInfo",
    "ChildNotFoundError",
    "ChildRestartingError",
    "ChildRunningError",
    "ChildSpec",
    "ChildStartError",
    "CountChildren",
    "Crash",
    "DeadMail",
    "DeleteChild",
    "DynamicSupervisor",
    "Fault",
    "GetSpec",
    "Intensity",
    "InvalidSpecError",
    "LastError",
    "MaxChildrenError",
    "QuarantineChild",
    "RestartChild",
    "RestartIntensityExceeded",
    "ResumeChild",
    "Root",
    "StartChild",
    "StartTemplated",
    "StartTimeoutError",
    "Strategy",
    "SupervisionError",
    "Supervisor",
    "SupervisorStoppingError",
    "TerminateChild",
    "TreeView",
    "WhichChildren",
    "count_children",
    "delete_child",
    "describe",
    "get_spec",
    "quarantine",
    "restart",
    "restart_child",
    "resume",
    "start_child",
    "terminate_child",
    "which_children",
]

"""The table `[edge.scanner]` of the configuration. Imports nothing but msgspec: it is read where no scanner is."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edge.scanner.keys import KEYS
from edge.scanner.layouts import LAYOUTS, Layout, check_chord, make_layout

EndKey = Literal["enter", "tab"]
Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Symbol = Annotated[str, msgspec.Meta(max_length=1)]


class CustomLayout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A layout of one's own: the keys in which it differs from another one."""

    base: str = "us"
    """The layout it starts from: one of ours."""
    keys: dict[str, Annotated[tuple[Symbol, ...], msgspec.Meta(min_length=1, max_length=4)]] = {}
    """Name of a key (`q`, `leftbrace`, `102nd`) to its characters: alone, with Shift, AltGr, Shift and AltGr."""
    gs: tuple[str, ...] | None = None
    """Keys that mean the group separator: `f8`, `ctrl+rightbrace`; None takes those of the base."""

    def __post_init__(self) -> None:
        if self.base not in LAYOUTS:
            raise ValueError(f"`base` `{self.base[:40]}` is none of the layouts {', '.join(sorted(LAYOUTS))}")
        for name in self.keys:
            if name not in KEYS:
                raise ValueError(f"`keys` names `{name[:40]}`, which is no key; keys are called as in `q`, `leftbrace`")
        for chord in self.gs or ():
            check_chord(chord)


class ScannerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How scanners are found and read."""

    enabled: bool = True
    """False looks for no scanner."""
    layout: str = "us"
    """The keyboard that the scanners play: `us`, `uk`, `de`, `fr`, `it` or a name in `layouts`."""
    layouts: dict[str, CustomLayout] = {}
    """Layouts by name, beside ours."""
    end_keys: tuple[EndKey, ...] = ("enter", "tab")
    """Keys that end a code."""
    pause: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.25
    """Seconds without a key that end a code too; 0: only a key ends it."""
    debounce: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    """Seconds within which the same code of the same scanner counts once; 0 takes every one."""
    include: tuple[Pattern, ...] = ()
    """Patterns (`*`, `?`) of devices that are scanners though nothing tells so; see `muster-edge scan-test`."""
    exclude: tuple[Pattern, ...] = ()
    """Patterns of devices that are left alone whatever they are."""
    grab: bool = True
    """Take scanners for ourselves: what they read is not typed into the console."""
    device_dir: Annotated[str, msgspec.Meta(pattern="^/")] = "/dev/input"
    """Where the devices `event*` appear."""
    sys_dir: Annotated[str, msgspec.Meta(pattern="^/")] = "/sys/class/input"
    """Where the kernel describes them."""

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS and self.layout not in self.layouts:
            known = ", ".join(sorted({*LAYOUTS, *self.layouts}))
            raise ValueError(f"`layout` `{self.layout[:40]}` is not known; there are {known}")
        if not self.end_keys and not self.pause:
            raise ValueError("without `end_keys` and without a `pause` no code would ever end")

    def make_layout(self) -> Layout:
        """Return the layout that is configured."""
        custom = self.layouts.get(self.layout)
        if custom is None:
            return make_layout(self.layout)
        return make_layout(custom.base, keys=custom.keys, gs=custom.gs)

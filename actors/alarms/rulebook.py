"""All rules together: Muster's own, those of the configuration, and those that operators made by HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from actors.alarms.messages import AlarmError, ChangeRule, KnownRule, PutRule
from actors.alarms.rules import MOST_RULES, AlarmKind, Rule, Source, change_rule
from actors.alarms.settings import AlarmSettings

_PATH: Final = re.compile(r"at `\$\.(\w+)")
_QUOTED: Final = re.compile(r"`(\w+)`")
"""Where msgspec, or the rule itself, names a field."""


class RuleBook:
    """The rules by name. One of the configuration is changed there; one of Muster's own may be changed by HTTP."""

    def __init__(self, settings: AlarmSettings, made: Iterable[KnownRule] = ()) -> None:
        self._settings = settings
        self._fixed: dict[str, KnownRule] = {}
        for rule in settings.default_rules:
            self._fixed[rule.name] = KnownRule(rule=rule, origin="default")
        for rule in settings.rules:
            self._fixed[rule.name] = KnownRule(rule=rule, origin="configuration")
        self._made = {known.rule.name: known for known in made}

    def all(self) -> list[KnownRule]:
        """Return every rule by name; the configuration comes before what was made by HTTP."""
        names = sorted({*self._fixed, *self._made})
        return [known for known in map(self.get, names) if known is not None]

    def get(self, name: str) -> KnownRule | None:
        """Return the rule of this name."""
        fixed = self._fixed.get(name)
        if fixed is not None and fixed.origin == "configuration":
            return fixed
        return self._made.get(name, fixed)

    def complaints(self) -> Iterator[str]:
        """Yield, of rules made by HTTP, what a change of the configuration has done to them."""
        for name, known in self._made.items():
            if self.get(name) is not known:
                yield f"{name} made by HTTP is not in force: the configuration has one of its name"
            for channel in known.rule.send or ():
                if channel not in self._settings.channels:
                    yield f"{name} sends to {channel}, which is not among the channels"

    def active(self, source: Source) -> list[Rule]:
        """Return the rules in force that judge by this source."""
        if not self._settings.enabled:
            return []
        return [known.rule for known in self.all() if known.rule.enabled and known.rule.source == source]

    def live(self, name: str, kind: AlarmKind | str) -> Rule | None:
        """Return the rule of this name if it is in force and of this kind."""
        known = self.get(name) if self._settings.enabled else None
        return known.rule if known is not None and known.rule.enabled and known.rule.kind == kind else None

    def check_new(self, order: PutRule, now_us: int) -> KnownRule:
        """Return the rule that an order makes. Raises `AlarmError`."""
        name = order.rule.name
        found = self.get(name)
        if found is not None and found.origin != "default":
            raise AlarmError("conflict", f"there is a rule {name} already", name=name)
        if len(self._made) >= MOST_RULES:
            raise AlarmError("full", f"there are {MOST_RULES} rules already, as many as there may be")
        return self._checked(order.rule, order.by, now_us)

    def check_change(self, order: ChangeRule, now_us: int) -> KnownRule:
        """Return the rule that an order makes of one. Raises `AlarmError`."""
        found = self._changeable(order.name)
        if order.changes.get("name", order.name) != order.name:
            raise AlarmError("bad_field", "`name` cannot be changed", field="name")
        try:
            rule = change_rule(found.rule, order.changes)
        except msgspec.ValidationError as error:
            where = _PATH.search(str(error)) or _QUOTED.search(str(error))
            field = {"field": where[1]} if where else {}
            raise AlarmError("bad_field", f"the rule is not valid: {error}", **field) from None
        return self._checked(rule, order.by, now_us)

    def check_drop(self, name: str) -> Rule:
        """Return a rule that is to be deleted. Raises `AlarmError` if it cannot be."""
        found = self._changeable(name)
        if found.origin == "default":
            reason = "comes with Muster; set `enabled` to false to turn it off"
            raise AlarmError("conflict", f"the rule {name} {reason}", name=name)
        return found.rule

    def put(self, known: KnownRule) -> None:
        """Take a rule that is stored."""
        self._made[known.rule.name] = known

    def drop(self, name: str) -> None:
        """Forget a rule that is deleted."""
        self._made.pop(name, None)

    def _changeable(self, name: str) -> KnownRule:
        found = self.get(name)
        if found is None:
            raise AlarmError("not_found", "there is no rule of this name", name=name[:64])
        if found.origin == "configuration":
            raise AlarmError("conflict", f"the rule {name} stands in the configuration and is changed there", name=name)
        return found

    def _checked(self, rule: Rule, by: str, now_us: int) -> KnownRule:
        for channel in rule.send or ():
            if channel not in self._settings.channels:
                raise AlarmError("bad_field", f"`send`: there is no channel {channel}", field="send")
        return KnownRule(rule=rule, origin="api", changed_us=now_us, changed_by=by)

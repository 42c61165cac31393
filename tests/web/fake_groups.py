"""In-memory twin of the groups: by hand alone, which is all that the routes can tell apart."""

from __future__ import annotations

from tests.web.fake_soil import NOON
from web.groups import GroupsRefusedError

STATES = ("healthy", "silent", "unknown", "elsewhere", "undeclared")


class FakeGroups:
    def __init__(self, fleet):
        self.fleet = fleet
        self.groups = {}
        self.sites = {}
        self.told = []

    def items(self, after, limit, serial):
        names = sorted(name for name, row in self.groups.items() if name > after and serial in (None, *row["members"]))
        return [self.groups[name] for name in names[:limit]], names[limit - 1] if len(names) > limit else None

    def get(self, name):
        row = self._known(name)
        views = [view for serial in row["members"] if (view := self.fleet.get(serial))]
        return row | {"devices": len(views), "present": sum(view.presence == "online" for view in views)}

    def create(self, group, by, address):
        if group["name"] in self.groups:
            raise GroupsRefusedError(
                409, "exists", f"there is a group {group['name']} already", {"name": group["name"]}
            )
        self.told.append(("create", group, by, address))
        made = {"declared": True, "updated_us": NOON, "changed_by": by, "rule": None, "description": ""}
        rule = group.get("rule")
        fields = group | {"members": sorted(group.get("members", ())), "rule": rule and {"site": rule.site}}
        self.groups[group["name"]] = made | fields
        return self.groups[group["name"]]

    def change(self, name, changes, by, address):
        self._known(name)
        self.told.append(("change", name, changes, by, address))
        self.groups[name] |= {key: value for key, value in changes.items() if key == "description"}
        return self.groups[name]

    def delete(self, name, by, address):
        self._known(name)
        self.told.append(("delete", name, by, address))
        del self.groups[name]

    def page(self, name, after, limit):
        members = [serial for serial in self._known(name)["members"] if serial > after]
        return [self.fleet.get(serial) for serial in members[:limit]], members[limit - 1] if members[limit:] else None

    def pick(self, where):
        found = [view for view in self.fleet.devices.values() if view.presence == "online" and where.matches(view)]
        if not found:
            raise GroupsRefusedError(409, "none_present", "no device that is asked for is present now")
        return {"device": found[0], "commands": 2, "load": 0.5}

    def rosters(self):
        return [
            {"site": site, "source": "api", "declared": len(serials), "counts": dict.fromkeys(STATES, 0)}
            for site, serials in self.sites.items()
        ]

    def roster(self, site):
        if site not in self.sites:
            raise GroupsRefusedError(404, "not_found", f"there is no roster of {site}", {"site": site})
        entries = [
            {"serial": serial, "presence": None, "since_us": None, "last_seen_us": None, "label": None, "site": None}
            for serial in self.sites[site]
        ]
        lists = {state: [] for state in STATES} | {"silent": entries}
        return {"site": site, "source": "api", "declared": len(entries)} | lists

    def put_roster(self, site, serials, by, address):
        self.told.append(("put", site, by, address))
        self.sites[site] = serials
        return self.roster(site)

    def delete_roster(self, site, by, address):
        self.roster(site)
        self.told.append(("delete", site, by, address))
        del self.sites[site]

    def _known(self, name):
        if name not in self.groups:
            raise GroupsRefusedError(404, "not_found", f"there is no group {name}", {"name": name})
        return self.groups[name]

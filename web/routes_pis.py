"""The Pi view of the fleet, and the address of the primary device."""

from __future__ import annotations

from actors.fleet import DeviceView
from actors.fleet_pages import Cut
from web.call import MAX_LIMIT, Call
from web.errors import ApiError
from web.face import Item
from web.fleet import Filter
from web.render import device_json, listing, plain
from web.routes_devices import after_serial

KIND = "raspberry_pi"


def index(call: Call) -> Item:
    """List the Raspberry Pis."""
    after = after_serial(call)
    page = call.face.fleet.page(Filter(kind=KIND), Cut(after=(after, after), limit=call.limit()))
    return listing([device_json(device) for device in page.devices], page.following[1] if page.following else None)


def show(call: Call, name: str) -> Item:
    """Return one Pi by serial or hostname; of several with one hostname the one present, then the last heard."""
    device = call.face.fleet.get(name)
    if device is not None and device.snapshot.kind == KIND:
        return device_json(device)
    namesakes = call.face.fleet.page(Filter(kind=KIND, hostname=name), Cut(limit=MAX_LIMIT)).devices
    if not namesakes:
        raise ApiError(404, "no Raspberry Pi of this serial or hostname is known", details={"name": name[:64]})
    return device_json(max(namesakes, key=_likelier))


def resolve(call: Call) -> Item:
    """Return the address of the primary device of a type and how it was found."""
    device_type = call.text("type") or KIND
    found = call.face.resolver.resolve(device_type)
    if found is None:
        raise ApiError(404, "no device of this type was found", details={"type": device_type})
    item: Item = plain(found)
    return item


def _likelier(device: DeviceView) -> tuple[bool, int]:
    return device.presence == "online", device.last_seen_us

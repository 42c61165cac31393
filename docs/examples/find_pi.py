"""Print the address of the primary Raspberry Pi, for use in scripts: `ssh pi@$(python find_pi.py)`.

The server and the token come from `MUSTER_SERVER_URL` and `MUSTER_API_TOKEN`. Another type of device may be named:
`python find_pi.py gateway`. Ends with 1 if there is no such device or it answers nowhere, with 2 if the server does not
answer or refuses.
"""

from __future__ import annotations

import sys

from actors.resolver import DeviceNotFoundError, ResolveError, find


def main(arguments: list[str]) -> int:
    wanted = arguments[0] if arguments else "raspberry_pi"
    try:
        device = find(wanted)
    except DeviceNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    except ResolveError as error:
        print(error, file=sys.stderr)
        return 2
    print(device.address)
    print(f"{device.serial} ({device.hostname}), found by {device.method}, {device.presence}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

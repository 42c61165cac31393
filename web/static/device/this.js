// Which device this page is about, and where the API tells of it.

export const serial = decodeURIComponent(location.pathname.split("/")[2] ?? "");
const escaped = encodeURIComponent(serial);

/** Whom the stream of events is asked for: of what can be no serial number the server would refuse it again and again. */
export const followed = /^[A-Za-z0-9._:-]{1,64}$/.test(serial) ? serial : "";

/** The path in the API of what belongs to this device. */
export const path = (rest = "") => `/api/devices/${escaped}${rest}`;

/** The path of a list narrowed to this device. */
export const only = (list, query = {}) => `${list}?${new URLSearchParams({ ...query, device: serial })}`;

/** The path of its actor in the tree of the server. */
export const actorPath = `devices/${serial}`;

export const element = (id) => document.getElementById(id);

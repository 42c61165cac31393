// Which device this page is about, and where the API tells of it.

export const serial = decodeURIComponent(location.pathname.split("/")[2] ?? "");
const escaped = encodeURIComponent(serial);

/** The path in the API of what belongs to this device. */
export const path = (rest = "") => `/api/devices/${escaped}${rest}`;

/** The path of a list narrowed to this device. */
export const only = (list, query = {}) => `${list}?${new URLSearchParams({ ...query, device: serial })}`;

/** The path of its actor in the tree of the server. */
export const actorPath = `devices/${serial}`;

export const element = (id) => document.getElementById(id);

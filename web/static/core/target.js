// Who is meant by something that goes to many: all devices, a group, or some by name.

import { get } from "./api.js";

/** Serial numbers as people write them: separated by blanks or commas. */
export const serialsIn = (text) => text.split(/[\s,]+/).filter(Boolean);

/** How many devices are meant, by what the server knows now. */
export async function countTargets({ all, group, devices }) {
  if (all) return (await get("/api/devices?limit=1")).matches;
  if (group) return (await get(`/api/groups/${encodeURIComponent(group)}`)).devices;
  return devices.length;
}

// One device, chosen in the table: what it says of itself, and its own tree of supervision.

import { ApiError, get } from "../core/api.js";
import { h, keyed, Refresher, setText } from "../core/dom.js";
import { drawTree, words } from "../core/nodes.js";
import * as reach from "./reach.js";

const SIZES = ["memory", "disk"]; // facts whose parts are bytes, but for shares
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

const element = (id) => document.getElementById(id);
let chosen = null;
let opener = null; // the element that had the focus before the panel took it

export const device = new Refresher(async () => {
  const serial = chosen;
  if (!serial) return;
  const path = `/api/devices/${encodeURIComponent(serial)}`;
  try {
    const known = await get(path);
    const tree = known.supervised ? await get(`${path}/supervision`) : null;
    if (serial === chosen) draw(known, tree);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404 && serial === chosen) choose(null);
    throw error;
  }
});

/** Show a device; null for none. */
export function choose(serial) {
  const hadFocus = element("panel").contains(document.activeElement);
  chosen = serial;
  element("panel").hidden = !serial;
  reach.choose(serial);
  if (!serial) {
    if (hadFocus) opener?.focus();
    return;
  }
  opener = document.activeElement;
  setText(element("panel-title"), serial);
  const only = new URLSearchParams({ device: serial });
  element("panel-scans").href = `/scans?${only}`;
  element("panel-alarms").href = `/alarms?state=all&${only}`;
  element("panel-notifications").href = `/notifications?${only}`;
  element("panel-facts").replaceChildren();
  element("panel-tree").hidden = true;
  element("panel-close").focus();
  device.request();
}

/** Take a change that was pushed. */
export function onDevice(data) {
  if (data.serial === chosen) device.request();
}

export function start() {
  element("panel-close").addEventListener("click", () => choose(null));
}

function draw(known, tree) {
  setText(element("panel-title"), known.label ?? known.hostname ?? known.serial);
  const facts = [
    ["serial number", known.serial],
    ["group", known.group],
    ["labels", Object.keys(known.labels).length ? known.labels : null],
    ["notifications go to", known.device_token],
    ["MAC address", known.mac_address],
    ...Object.entries(known.services),
    ...Object.entries(known.system_info),
  ].filter(([, value]) => value !== null && value !== "");
  keyed(element("panel-facts"), facts, ([name]) => name, makeFact, updateFact);
  element("panel-tree").hidden = !tree;
  if (tree) drawTree(element("panel-nodes"), tree);
}

function makeFact([name]) {
  return h("div", {}, h("dt", { text: words(name) }), h("dd"));
}

function updateFact(fact, [name, value]) {
  const parts = value && typeof value === "object" && !Array.isArray(value) ? Object.entries(value) : [["", value]];
  const isSize = (part, inside) => SIZES.includes(name) && Number.isSafeInteger(inside) && !part.includes("percent");
  const said = ([part, inside]) => `${words(part)} ${isSize(part, inside) ? sizeText(inside) : plainText(inside)}`.trim();
  setText(fact.querySelector("dd"), parts.map(said).join(" · "));
}

const plainText = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

/** Bytes as short as `512 MiB`. */
function sizeText(bytes) {
  const step = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  return `${(bytes / 1024 ** step).toLocaleString(undefined, { maximumFractionDigits: 1 })} ${UNITS[step]}`;
}

// The fleet: counts, filters and one page of the table.

import { get } from "../core/api.js";
import { choose as open } from "./device.js";
import { flash, h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { Pager } from "../core/pager.js";
import { t } from "../core/texts.js";

const COUNTS = [
  ["", "total", "All devices"],
  ["online", "online", "Online"],
  ["offline", "offline", "Offline"],
  ["unknown", "unknown", "Unknown"],
];
const KINDS = {
  raspberry_pi: "Raspberry Pi",
  datalogger: "Datalogger",
  gateway: "Gateway",
  sensor: "Sensor",
  controller: "Controller",
  other: "Other",
};
const REASONS = {
  announce: "announced",
  heartbeat: "heartbeat",
  data: "data",
  will: "last will",
  goodbye: "said goodbye",
  timeout: "silent",
  link_lost: "link lost",
  startup: "server started",
};

const element = (id) => document.getElementById(id);
const filter = Object.fromEntries(new URLSearchParams(location.search));
const devices = new Map(); // serial -> Device JSON of the page shown
const pager = new Pager("/api/devices", {
  wanted: () => ({ presence: filter.presence, q: filter.q, kind: filter.kind }),
  draw: (items, _, told) => {
    refusal = told;
    devices.clear();
    for (const device of items) devices.set(device.serial, device);
    draw();
  },
});
let refusal = ""; // what the server has against the filters

export const fleet = pager.panel;

export const counts = new Refresher(async () => {
  const health = await get("/api/health");
  for (const [, name] of COUNTS) setText(element(`count-${name}`), health.devices[name].toLocaleString());
  const restarts = health.actors.restarts;
  setText(element("tree-note"), restarts ? `${restarts.toLocaleString()} ${restarts === 1 ? "restart" : "restarts"}` : "");
  for (const name of ["online", "offline", "unknown"]) {
    const share = element(`share-${name}`);
    share.style.flexGrow = health.devices[name];
    share.hidden = health.devices[name] === 0;
  }
});

/** Take a change that was pushed: at once where the device is shown, else by asking again. */
export function onDevice(kind, data) {
  counts.request();
  const shown = devices.get(data.serial);
  const leaves = filter.presence && data.presence && data.presence !== filter.presence;
  if (kind === "removed" || !shown || leaves) {
    fleet.request();
    return;
  }
  const changed = data.presence && data.presence !== shown.presence;
  Object.assign(shown, data);
  draw(changed ? data.serial : null);
}

export function start() {
  const bar = h("div", { class: "shares", "aria-hidden": "true" });
  for (const name of ["online", "offline", "unknown"]) bar.append(h("span", { id: `share-${name}`, class: name }));
  for (const [presence, name, label] of COUNTS) {
    element("counts").append(
      h(
        "button",
        { type: "button", class: `count ${name}`, "data-presence": presence, onclick: () => choose({ presence }) },
        h("span", { class: "figure", id: `count-${name}`, text: "–" }),
        h("span", { class: "name" }, presence ? h("i", { class: `dot ${presence}` }) : null, label),
      ),
    );
  }
  element("counts").append(bar);
  // A word of the address that is on no list is left out.
  if (!COUNTS.some(([presence]) => presence === filter.presence)) filter.presence = "";
  if (!(filter.kind in KINDS)) filter.kind = "";
  element("search").value = filter.q ?? "";
  element("kind").value = filter.kind;
  let typing = 0;
  element("search").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => choose({ q: event.target.value.trim() }), 200);
  });
  element("kind").addEventListener("change", (event) => choose({ kind: event.target.value }));
  pager.start();
  mark();
}

function choose(change) {
  Object.assign(filter, change);
  const chosen = Object.entries(filter).filter(([, value]) => value);
  history.replaceState(null, "", chosen.length ? `?${new URLSearchParams(chosen)}` : "/");
  mark();
  pager.restart();
}

function mark() {
  for (const button of document.querySelectorAll(".count")) {
    button.setAttribute("aria-pressed", String(button.dataset.presence === (filter.presence ?? "")));
  }
}

function draw(changed = null) {
  keyed(element("devices"), [...devices.values()], (device) => device.serial, makeRow, (row, device) => {
    updateRow(row, device);
    if (device.serial === changed) flash(row);
  });
  const filtered = filter.q || filter.kind || filter.presence;
  const none = filtered ? "No device matches." : "No device has spoken yet. The first message of one makes it appear.";
  pager.drawFoot(devices.size, refusal || none);
}

function makeRow({ serial }) {
  const part = (name) => h("span", { class: name });
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("button", { type: "button", class: "label", title: "Show this device", onclick: () => open(serial) }),
      part("serial"),
    ),
    h(
      "td",
      { class: "presence" },
      h("span", { class: "above" }, h("i", { class: "dot" }), part("state"), part("marks")),
      h("span", { class: "below" }, part("reason"), part("since")),
    ),
    h("td", { class: "seen" }),
    h("td", { class: "what" }, part("kind"), part("site")),
    h("td", { class: "address" }),
  );
}

function updateRow(row, device) {
  const part = (name) => row.querySelector(`.${name}`);
  const label = device.label ?? device.hostname ?? device.serial;
  setText(part("label"), label);
  setText(part("serial"), label === device.serial ? "" : device.serial);
  part("dot").className = `dot ${device.presence}`;
  setText(part("state"), device.presence);
  setText(part("reason"), device.since ? (REASONS[device.reason] ?? device.reason) : "never heard");
  const marks = [device.quarantined && "quarantined", device.flapping && "flapping"].filter(Boolean);
  keyed(part("marks"), marks, (mark) => mark, (mark) => h("span", { class: "mark", text: mark }), () => {});
  part("since").hidden = !device.since;
  setTime(part("since"), device.since);
  setTime(part("seen"), device.last_seen, t("common.ago"));
  setText(part("kind"), KINDS[device.kind] ?? device.kind);
  setText(part("site"), device.site ?? "");
  setText(part("address"), device.ip_address ?? "–");
}

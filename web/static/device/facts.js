// What the device says of itself: how it is, what runs there, and what belongs to its name.

import { ageText, h, keyed, setMoment, setText } from "../core/dom.js";
import { bytes, number, percent, withUnit } from "../core/numbers.js";
import { t, tOr } from "../core/texts.js";
import { element } from "./this.js";

const HOT = 80; // degrees Celsius at which the processor of a Pi is slowed down
const FULL = 0.9; // share from which little is left
const KNOWN = new Set(["memory", "disk", "uptime_hours", "load_average", "cpu_count", "cpu_percent", "temperature", "cpu_temperature", "throttling"]);

export function draw(known) {
  const told = known.system_info;
  element("system").hidden = Object.keys(told).length === 0;
  keyed(element("gauges"), gauges(told), ({ name }) => name, makeGauge, updateGauge);
  keyed(element("system-more"), Object.entries(told).filter(([name]) => !KNOWN.has(name)), ([name]) => name, makeFact, updateFact);
  drawThrottling(told.throttling);
  const services = Object.entries(known.services);
  element("services").hidden = services.length === 0;
  keyed(element("services-list"), services, ([name]) => name, makeFact, updateFact);
  keyed(element("facts"), identity(known), ([name]) => name, makeFact, updateFact);
}

/** The figures that have a scale, each with its share of what is too much. */
function gauges(told) {
  const all = [];
  const add = (name, text, share = null, note = "") => all.push({ name, text, share, note });
  const load = Array.isArray(told.load_average) ? told.load_average[0] : undefined;
  if (isNumber(told.cpu_percent)) add("cpu", percent(told.cpu_percent / 100), told.cpu_percent / 100);
  else if (isNumber(load)) add("load", number(load), told.cpu_count > 0 ? load / told.cpu_count : null, coresText(told.cpu_count));
  for (const name of ["memory", "disk"]) addSize(add, name, told[name]);
  const degrees = told.temperature ?? told.cpu_temperature;
  if (isNumber(degrees)) add("temperature", withUnit(degrees, "°C", 1), degrees / HOT);
  if (isNumber(told.uptime_hours)) add("uptime", ageText(told.uptime_hours * 3600));
  return all;
}

function addSize(add, name, size) {
  if (!size || !isNumber(size.used_percent)) return;
  const free = size.available ?? size.free;
  const note = isNumber(free) && isNumber(size.total) ? t("device.free_of", { free: bytes(free), total: bytes(size.total) }) : "";
  add(name, percent(size.used_percent / 100), size.used_percent / 100, note);
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const coresText = (count) => (isNumber(count) ? t("device.cores", { count }) : "");

function makeGauge({ name }) {
  const label = t(`device.gauge.${name}`);
  return h(
    "li",
    {},
    h("span", { class: "name", text: label }),
    h("span", { class: "value" }),
    h("meter", { min: 0, max: 1, high: FULL, "aria-label": label }),
    h("span", { class: "quiet note" }),
  );
}

function updateGauge(row, { text, share, note }) {
  const part = (name) => row.querySelector(name);
  setText(part(".value"), text);
  part("meter").hidden = share === null;
  if (share !== null) part("meter").value = Math.min(1, Math.max(0, share));
  part("meter").title = text;
  setText(part(".note"), note);
}

function drawThrottling(throttling) {
  const [now, before] = [throttling?.now, throttling?.since_boot].map((list) => (Array.isArray(list) ? list.map(String) : []));
  const names = (list) => list.map((name) => tOr("device.trouble.", name)).join(", ");
  const told = now.length ? t("device.throttled_now", { what: names(now) }) : before.length ? t("device.throttled_before", { what: names(before) }) : "";
  setText(element("throttling"), told);
  element("throttling").hidden = !told;
  element("throttling").dataset.tone = now.length ? "bad" : "open";
}

function identity(known) {
  const labels = Object.entries(known.labels).map(([key, value]) => `${key}=${value}`).join(", ");
  const facts = [
    ["serial", known.serial],
    ["label", known.label],
    ["kind", tOr("states.", known.kind)],
    ["type", known.type],
    ["site", known.site],
    ["group", known.group],
    ["labels", labels],
    ["device_id", known.device_id === known.serial ? null : known.device_id],
    ["hostname", known.hostname],
    ["ip_address", known.ip_address],
    ["mac_address", known.mac_address],
    ["first_seen", known.first_seen],
    ["offline_after", withUnit(known.offline_after, "s", 1)],
    ["device_token", known.device_token],
    ...Object.entries(known.metadata).map(([name, value]) => [`metadata.${name}`, value]),
  ];
  return facts.filter(([, value]) => value !== null && value !== "" && value !== undefined);
}

const TIMES = new Set(["first_seen"]);
const nameOf = (name) => tOr("device.fact.", name);

function makeFact([name]) {
  return h("div", {}, h("dt", { text: nameOf(name) }), h("dd"));
}

function updateFact(fact, [name, value]) {
  const place = fact.querySelector("dd");
  if (TIMES.has(name)) setMoment(place, value);
  else setText(place, valueText(value));
}

/** Something a device has told, as short as it can be read. */
export function valueText(value) {
  if (value === null) return "–";
  if (Number.isInteger(value)) return String(value); // a port or an id has no thousands
  if (isNumber(value)) return number(value);
  if (typeof value === "boolean") return t(value ? "device.yes" : "device.no");
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) return value.map(valueText).join(", ") || "–";
  return Object.entries(value).map(([name, part]) => `${name.replaceAll("_", " ")} ${valueText(part)}`).join(" · ");
}

// The soil stations: what their latest readings say, and what has become of the readings.

import { get } from "../core/api.js";
import { flash, h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { Pager } from "../core/pager.js";
import { t } from "../core/texts.js";

const UNITS = { N: "mg/kg", P: "mg/kg", K: "mg/kg", CO2: "ppm", Temperature: "°C", Moisture: "%", pH: "" };
const ORDER = Object.keys(UNITS);
const TONES = { Excellent: "good", Good: "good", Fair: "fair", Poor: "poor", Critical: "poor" };
const KINDS = { implausible: "implausible", out_of_range: "out of range", unusual: "unusual" };
const SENTENCES = 200; // characters of a reason in a row; the title has all of it

const element = (id) => document.getElementById(id);
const number = (value, digits) => value.toLocaleString(undefined, { maximumFractionDigits: digits });
const shown = new Map(); // serial -> Station JSON of the page shown
const missed = new Set(); // serials that were not shown when they were heard
const pager = new Pager("/api/soil-health/stations", {
  draw: (items) => {
    const known = new Map(shown);
    shown.clear();
    for (const station of items) shown.set(station.serial, newer(known.get(station.serial), station));
    draw();
  },
});

export const stations = pager.panel;

export const statistics = new Refresher(async () => {
  const counted = await get("/api/soil-health/statistics");
  for (const name of ["publishers", "received", "processed", "duplicates", "failed"]) {
    setText(element(`count-${name}`), counted[name].toLocaleString());
  }
  const reasons = Object.entries(counted.by_reason).map(([reason, count]) => `${reason} ${count.toLocaleString()}`);
  element("count-failed").title = reasons.join(", ");
  setTime(element("last-received"), counted.last_received, t("common.ago"));
});

export const followers = new Refresher(async () => {
  const { items } = await get("/api/followers");
  keyed(element("followers"), items, (follower) => follower.name, makeFollower, updateFollower);
});

/** Take a reading that was pushed; an older one that comes late changes nothing. */
export function onReading(data) {
  const station = shown.get(data.serial);
  if (!station) {
    askOnce(data.serial);
    return;
  }
  if (Date.parse(data.ts) < Date.parse(station.ts)) return;
  const changed = data.status !== station.status;
  Object.assign(station, data);
  drawOne(station, changed);
}

/** Take a change of presence or place. */
export function onDevice(data) {
  const station = shown.get(data.serial);
  if (!station) {
    if (data.kind === "sensor") askOnce(data.serial);
    return;
  }
  const changed = "presence" in data && data.presence !== station.presence;
  for (const name of ["presence", "reason", "since", "label", "site"]) {
    if (name in data) station[name] = data[name];
  }
  drawOne(station, changed);
}

/** What is not shown may be new, or on another page: that is found out once, and again at every look. */
function askOnce(serial) {
  if (missed.has(serial)) return;
  missed.add(serial);
  stations.request();
}

export const start = () => pager.start();

/** What was asked for may be older than what was pushed meanwhile. */
function newer(known, station) {
  if (!known?.ts || Date.parse(known.ts) <= Date.parse(station.ts)) return station;
  const { ts, health_index, status, anomalies, measures } = known;
  return { ...station, ts, health_index, status, anomalies, measures };
}

function drawOne(station, changed) {
  const row = element("stations").querySelector(`:scope > [data-key="${CSS.escape(station.serial)}"]`);
  updateRow(row, station);
  if (changed) flash(row);
}

function draw() {
  keyed(element("stations"), [...shown.values()], (station) => station.serial, makeRow, updateRow);
  const count = shown.size;
  element("none").hidden = count > 0;
  element("table").hidden = count === 0;
  pager.drawFoot(count);
}

function makeRow() {
  const part = (name) => h("span", { class: name });
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      part("label"),
      part("serial"),
      h("span", { class: "where" }, h("i", { class: "dot" }), part("state"), part("place")),
    ),
    h(
      "td",
      { class: "health" },
      h("span", { class: "index" }, part("figure"), part("word")),
      h("span", { class: "gauge", "aria-hidden": "true" }, h("i")),
      h("details", { class: "drivers" }, h("summary"), h("ul")),
    ),
    h("td", { class: "values" }, h("dl", { class: "measures" })),
    h("td", { class: "anomalies" }),
    h("td", { class: "age" }),
  );
}

function updateRow(row, station) {
  const part = (name) => row.querySelector(name);
  const label = station.label ?? station.serial;
  const index = station.health_index;
  setText(part(".label"), label);
  setText(part(".serial"), label === station.serial ? "" : station.serial);
  part(".dot").className = `dot ${station.presence}`;
  setText(part(".state"), station.presence);
  setText(part(".place"), station.site ?? "");
  part(".health").dataset.tone = TONES[station.status] ?? "none";
  setText(part(".figure"), index === null ? "–" : number(index, 0));
  part(".figure").title = index === null ? "" : `Soil Health Index ${number(index, 1)} of 100`;
  setText(part(".word"), station.status || (station.ts ? "no index" : "no reading yet"));
  part(".gauge i").style.width = `${index ?? 0}%`;
  const costs = drivers(station.contributions);
  part(".drivers").hidden = costs.length === 0;
  setText(part(".drivers summary"), `held back by ${costs.join(", ")}`);
  keyed(part(".drivers ul"), station.recommendations, (said) => said, (said) => h("li", { text: said }), () => {});
  keyed(part(".measures"), inOrder(station.measures), ([name]) => name, makeMeasure, updateMeasure);
  keyed(part(".anomalies"), station.anomalies, (odd) => `${odd.kind} ${odd.measure}`, makeChip, updateChip);
  part(".anomalies").dataset.none = station.ts ? "none" : "";
  setTime(part(".age"), station.ts, t("common.ago"));
}

/** The two measures that cost the index most, with the points that they cost. */
function drivers(contributions) {
  return Object.entries(contributions)
    .filter(([, { lost }]) => lost >= 0.5)
    .sort(([, one], [, other]) => other.lost - one.lost)
    .slice(0, 2)
    .map(([name, { lost }]) => `${name}\u00a0−${number(lost, 0)}`);
}

function inOrder(measures) {
  const place = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  return Object.entries(measures).sort(([one], [other]) => place(one) - place(other) || one.localeCompare(other));
}

function makeMeasure([name]) {
  return h("div", {}, h("dt", { text: name }), h("dd", {}, h("span", { class: "value" }), h("span", { class: "unit" })));
}

const unitOf = (name) => (UNITS[name] ? ` ${UNITS[name]}` : "");

function updateMeasure(item, [name, value]) {
  setText(item.querySelector(".value"), number(value, 2));
  setText(item.querySelector(".unit"), unitOf(name));
}

function makeChip() {
  return h("details", { class: "chip" }, h("summary"), h("p"));
}

function updateChip(chip, odd) {
  chip.dataset.kind = odd.kind;
  const said = `${odd.measure} ${number(odd.value, 2)}${unitOf(odd.measure)} ${KINDS[odd.kind] ?? odd.kind}`;
  setText(chip.querySelector("summary"), said);
  chip.querySelector("summary").title = odd.message;
  setText(chip.querySelector("p"), odd.message);
}

function makeFollower() {
  return h(
    "li",
    {},
    h("div", { class: "line" }, h("i", { class: "dot" }), h("span", { class: "id" }), h("span", { class: "facts quiet" })),
    h("p", { class: "detail problem" }),
  );
}

function updateFollower(row, follower) {
  const part = (name) => row.querySelector(name);
  const error = follower.last_error ?? "";
  part(".dot").className = `dot ${follower.ok ? "online" : "offline"}`;
  setText(part(".id"), follower.name);
  const lag = follower.lag ? `${follower.lag.toLocaleString()} behind` : "up to date";
  setText(part(".facts"), `${follower.ok ? "" : "failing · "}${lag} · ${follower.written.toLocaleString()} written`);
  setText(part(".detail"), error.length > SENTENCES ? `${error.slice(0, SENTENCES)}…` : error);
  part(".detail").title = error;
}

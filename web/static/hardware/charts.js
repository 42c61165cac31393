// The charts of one station, or of several in comparison: one for each measure, and one of the index.

import { get } from "../core/api.js";
import { SeriesChart } from "../core/chart.js";
import { h, keyed, Refresher, setText } from "../core/dom.js";
import { setTitle } from "../core/frame.js";
import { Range } from "../core/range.js";
import { addTo, loadIndex, loadSeries } from "../core/series.js";
import { n, t } from "../core/texts.js";
import { makeCard, take, takePresence, updateCard } from "./card.js";
import { bandOf, measuresOf, nameOf, unitOf } from "./measures.js";
import { chosen, isComparison } from "./view.js";

const POINTS = 240; // of a line
const REDRAW = 1000; // ms between two drawings of charts that grow
const MOST_MARKS = 1000;
const INDEX = ""; // stands for the health index among the names of measures

const element = (id) => document.getElementById(id);
const known = new Map(); // serial -> Station JSON
const charts = new Map(); // name of the measure -> Growing
let range = null;
let isDue = false;

export const stations = new Refresher(async () => {
  const { items } = await get(`/api/soil-health/stations?${new URLSearchParams({ serials: chosen.join(",") })}`);
  known.clear();
  for (const station of items) known.set(station.serial, station);
  draw();
  if (arrange()) series.request();
});

export const series = new Refresher(async () => {
  const bounds = range.bounds();
  const marks = await Promise.all([...known.keys()].map((serial) => loadMarks(serial, bounds)));
  await Promise.all([...charts.values()].map((chart) => chart.load(bounds, marks.flat())));
});

export function start() {
  range = new Range(element("range"), () => series.request(), 24);
  setInterval(grow, REDRAW);
}

/** Take a reading that was pushed: it goes to the end of the lines that it continues. */
export function onReading(data) {
  const station = known.get(data.serial);
  if (!station) return;
  const at = Date.parse(data.ts) / 1000;
  for (const [name, value] of Object.entries(data.measures)) charts.get(name)?.add(data.serial, at, value);
  if (data.health_index !== null) charts.get(INDEX)?.add(data.serial, at, data.health_index);
  for (const odd of data.anomalies) charts.get(odd.measure)?.mark(at, toldOf(station, odd));
  isDue = true;
  if (!take(station, data)) return;
  drawOne(station);
  if (arrange()) series.request();
}

/** Take a change of presence or place. */
export function onDevice(data) {
  const station = known.get(data.serial);
  if (!station) return;
  takePresence(station, data);
  drawOne(station);
}

function drawOne(station) {
  updateCard(element("shown").querySelector(`:scope > [data-key="${CSS.escape(station.serial)}"]`), station);
}

const titleOf = ({ label, serial }) => label ?? serial;

function draw() {
  const shown = chosen.map((serial) => known.get(serial)).filter(Boolean);
  keyed(element("shown"), shown, ({ serial }) => serial, (station) => makeCard(station, { isOpen: !isComparison }), updateCard);
  const missing = chosen.filter((serial) => !known.has(serial));
  element("gone").hidden = missing.length === 0;
  setText(element("gone"), missing.length ? t("hardware.gone", { serials: missing.join(", ") }) : "");
  const title = isComparison ? n("hardware.compared", shown.length) : shown[0] ? titleOf(shown[0]) : chosen[0];
  setText(element("charts-title"), title);
  element("charts-title").classList.toggle("hidden", !isComparison); // a single station says its name itself
  setTitle(t("hardware.titled", { station: title }));
}

/** Make the charts that are wanted; whether there is a new one. */
function arrange() {
  const wanted = new Map(); // name -> what the analysis tells of it, of each station
  const shown = [...known.values()];
  if (shown.some(({ health_index: index }) => index !== null)) wanted.set(INDEX, []);
  for (const station of shown) {
    for (const [name, , told] of measuresOf(station)) wanted.set(name, [...(wanted.get(name) ?? []), told]);
  }
  let isNew = false;
  for (const [name, told] of wanted) {
    if (charts.has(name)) continue;
    charts.set(name, new Growing(name, told));
    isNew = true;
  }
  return isNew;
}

async function grow() {
  if (!isDue || document.hidden) return;
  isDue = false;
  for (const chart of [...charts.values()]) {
    chart.draw(range.bounds());
    await new Promise((done) => setTimeout(done)); // a task each, so that keys and fingers come in between
  }
}

/** The anomalies of a station in this time, each with its sentence. */
async function loadMarks(serial, { since, until }) {
  const query = { device: serial, anomalies: "true", since: new Date(since).toISOString(), until: new Date(until).toISOString() };
  const { items } = await get(`/api/soil-health/history?${new URLSearchParams({ ...query, limit: MOST_MARKS })}`);
  return items.flatMap(({ ts, anomalies }) =>
    anomalies.map((odd) => ({ measure: odd.measure, ts: Date.parse(ts) / 1000, text: toldOf(known.get(serial), odd) })),
  );
}

const toldOf = (station, { message }) => (isComparison && station ? `${titleOf(station)}: ${message}` : message);

/** What is known by the same limits for all has a band; where stations differ there is none that holds for all. */
function sharedBand(told) {
  const bands = told.map(bandOf);
  return bands.every((band) => band && String(band) === String(bands[0])) ? (bands[0] ?? null) : null;
}

/** The chart of one measure, or of the index. */
class Growing {
  #name;
  #chart;
  #bucket = 0; // s
  #lines = new Map(); // serial -> points
  #marks = [];
  #none = h("p", { class: "none quiet", text: t("hardware.nothing_then"), hidden: true });

  constructor(name, told) {
    this.#name = name;
    const title = name === INDEX ? t("hardware.index") : nameOf(name, told[0]);
    const unit = name === INDEX ? "" : unitOf(name, told[0]);
    const place = h("div");
    const heading = unit ? t("hardware.measure_unit", { measure: title, unit }) : title;
    element("charts").append(h("section", { class: "card", "data-measure": name, "aria-label": title }, h("h2", { text: heading }), this.#none, place));
    const onRange = (since, until) => range.set(since, until);
    this.#chart = new SeriesChart(place, { name: title, unit, band: name === INDEX ? null : sharedBand(told), onRange });
  }

  async load(bounds, marks) {
    const load = (serial) =>
      this.#name === INDEX ? loadIndex(serial, { ...bounds, points: POINTS }) : loadSeries(serial, this.#name, { ...bounds, points: POINTS });
    const found = await Promise.all([...known.keys()].map(async (serial) => [serial, await load(serial)]));
    this.#bucket = found[0]?.[1].bucket ?? 1;
    this.#lines = new Map(found.map(([serial, { points }]) => [serial, points]));
    this.#marks = thinned(marks.filter(({ measure }) => measure === this.#name), this.#bucket);
    this.draw(range.bounds());
  }

  add(serial, at, value) {
    if (this.#lines.has(serial)) addTo(this.#lines.get(serial), this.#bucket, at, value);
  }

  mark(ts, text) {
    this.#marks = thinned([...this.#marks, { ts, text }], this.#bucket);
  }

  draw({ since, until }) {
    const lines = [...this.#lines].map(([serial, points]) => ({ name: titleOf(known.get(serial) ?? { serial }), points }));
    this.#none.hidden = lines.some(({ points }) => points.some(([at]) => (at + this.#bucket) * 1000 >= since && at * 1000 <= until));
    this.#chart.draw({ bucket: this.#bucket, lines, since, until, marks: this.#marks });
  }
}

/** Of marks that would stand on each other the last one of each bucket. */
function thinned(marks, bucket) {
  const kept = new Map();
  for (const mark of [...marks].sort((one, other) => one.ts - other.ts)) kept.set(Math.floor(mark.ts / (bucket || 1)), mark);
  return [...kept.values()];
}

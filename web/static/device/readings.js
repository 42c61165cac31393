// A chart for each number that the device sends: bucketed by the server, growing with what comes.

import { get } from "../core/api.js";
import { SeriesChart } from "../core/chart.js";
import { h } from "../core/dom.js";
import { Range } from "../core/range.js";
import { addTo, loadSeries } from "../core/series.js";
import { n, t } from "../core/texts.js";
import { isShown } from "./tabs.js";
import { element, path, serial } from "./this.js";

const POINTS = 240; // of a line
const AT_ONCE = 6; // charts until somebody asks for more
const REDRAW = 1000; // ms between two drawings of a chart that grows
const MOST_SOUGHT = 2000;
/** Of what is certain by its name: a wrong unit is worse than none. */
const UNITS = { CO2: "ppm", Temperature: "°C", Moisture: "%", N: "mg/kg", P: "mg/kg", K: "mg/kg", humidity: "%", rssi: "dBm" };

const charts = new Map(); // by name of the number
const sought = new Set(); // names that the server was asked about: it keeps only so many of a device
let names = [];
let most = AT_ONCE;
let range = null;
let readings = null;
let isDue = false;

/** Look which numbers there are; what is new gets a chart. */
export async function look() {
  const { items } = await get(path("/sensors"));
  names = items.map(({ name }) => name);
  for (const name of names) sought.add(name);
  element("readings-none").hidden = names.length > 0;
  element("readings-range").hidden = names.length === 0;
  arrange();
  await Promise.all([...charts.values()].map((chart) => chart.load()));
}

/** Begin; `panel` asks to look again. */
export function start(panel) {
  readings = panel;
  range = new Range(element("readings-range"), () => panel.request());
  element("readings-more").addEventListener("click", () => {
    most = Infinity;
    panel.request();
  });
  setInterval(grow, REDRAW);
}

/** Take a reading that was pushed: it goes to the end of each line that it continues. */
export function onReading({ ts, measures }) {
  const at = Date.parse(ts) / 1000;
  let isMore = false; // it has begun to send something else
  for (const [name, value] of Object.entries(measures)) {
    charts.get(name)?.add(at, value);
    if (sought.has(name) || sought.size >= MOST_SOUGHT) continue;
    sought.add(name);
    isMore = true;
  }
  if (isMore && isShown("readings")) readings.request();
  isDue = true;
}

async function grow() {
  if (!isDue || !isShown("readings") || document.hidden) return;
  isDue = false;
  for (const [name, chart] of [...charts]) {
    if (charts.get(name) === chart) chart.draw();
    await new Promise((done) => setTimeout(done)); // a task each, so that keys and fingers come in between
  }
}

function arrange() {
  const shown = names.slice(0, most);
  for (const [name, chart] of charts) {
    if (shown.includes(name)) continue;
    chart.end();
    charts.delete(name);
  }
  for (const name of shown) if (!charts.has(name)) charts.set(name, new Growing(name));
  const hidden = names.length - shown.length;
  element("readings-more").hidden = hidden === 0;
  element("readings-more").textContent = hidden ? n("device.more_charts", hidden) : "";
}

/** The chart of one number. */
class Growing {
  #name;
  #place;
  #chart;
  #bucket = 0; // s
  #points = []; // [[ts, avg, min, max, n], ...], oldest first
  #note;

  constructor(name) {
    this.#name = name;
    this.#note = h("p", { class: "none quiet", text: t("device.no_readings"), hidden: true });
    const place = h("div", { class: "chart" });
    this.#place = h("section", { class: "card measure", "aria-label": name }, h("h3", { text: UNITS[name] ? `${name} (${UNITS[name]})` : name }), this.#note, place);
    element("charts").append(this.#place);
    this.#chart = new SeriesChart(place, { name, unit: UNITS[name] ?? "", onRange: (since, until) => range.set(since, until) });
  }

  async load() {
    const bounds = range.bounds();
    const { bucket, points } = await loadSeries(serial, this.#name, { ...bounds, points: POINTS });
    [this.#bucket, this.#points] = [bucket, points];
    this.draw();
  }

  /** Add a number to the bucket that it belongs to. */
  add(at, value) {
    if (this.#bucket) addTo(this.#points, this.#bucket, at, value);
  }

  draw() {
    const { since, until } = range.bounds();
    while (this.#points.length && (this.#points[0][0] + this.#bucket) * 1000 < since) this.#points.shift();
    const isEmpty = this.#points.every(([at]) => at * 1000 > until);
    this.#note.hidden = !isEmpty;
    this.#chart.draw({ bucket: this.#bucket, lines: [{ name: this.#name, points: this.#points }], since, until, marks: [] });
  }

  end() {
    this.#chart.destroy();
    this.#place.remove();
  }
}

// A chart of one number: the lines of one device or of several, in time.

import { columns, longestStep, pointAt, withGaps } from "./columns.js";
import { bothTimes, h, setText, timeText } from "./dom.js";
import { number, withUnit } from "./numbers.js";
import { colourName, Colours, DASHES, loadPlot, options } from "./plot.js";
import { n, t } from "./texts.js";

const HEIGHT = 220; // px
const SVG = "http://www.w3.org/2000/svg";
const iso = (seconds) => new Date(seconds * 1000).toISOString();
let made = 0;

export class SeriesChart {
  #name;
  #unit;
  #band;
  #onRange;
  #root;
  #colours;
  #uPlot = null;
  #plot = null; // of uPlot
  #count = 0; // lines that #plot was made for
  #shown = null; // what was drawn last, with gaps as points
  #at = null; // s: where the keyboard has put the cursor
  #observers = [];

  /**
   * Put a chart into `place`. `band` is the optimum, [low, high], either of which may be null. `onRange(since, until)`
   * (ms) is called when somebody has chosen a part of the time, with null for both when he wants to go back; what is
   * shown is always what `draw` was told.
   */
  constructor(place, { name, unit, band = null, onRange }) {
    this.#name = name;
    this.#unit = unit;
    this.#band = band;
    this.#onRange = onRange;
    this.#root = this.#make();
    place.append(this.#root);
    this.#colours = new Colours(this.#part("probe"));
    this.#watch();
    loadPlot().then(
      (uPlot) => {
        this.#uPlot = uPlot;
        this.#draw();
      },
      (error) => setText(this.#part("key"), error.message),
    );
  }

  /**
   * Draw lines, `points` as `loadSeries` gives them with buckets of `bucket` seconds, from `since` until `until` (ms).
   * `marks` are moments (s) that a sentence tells something of.
   */
  draw({ bucket, lines, since, until, marks = [] }) {
    const told = lines.map(({ name, points }) => ({ name, raw: points, ...withGaps(points, bucket) }));
    const gap = Math.max(bucket, ...lines.map(({ points }) => longestStep(points, bucket)));
    this.#shown = { lines: told, since, until, marks, bucket, gap, band: this.#band };
    this.#draw();
  }

  /** Take the chart away. */
  destroy() {
    for (const stop of this.#observers) stop();
    this.#plot?.destroy();
    this.#root.remove();
    this.#root = null;
  }

  #part(name) {
    return this.#root.querySelector(`.${name}`);
  }

  #make() {
    made += 1;
    const label = this.#unit ? t("chart.label_unit", { name: this.#name, unit: this.#unit }) : t("chart.label", { name: this.#name });
    const plot = h("div", {
      class: "plot",
      role: "slider",
      tabindex: 0,
      "aria-label": label,
      "aria-describedby": `chart-${made}`,
      "aria-valuemin": 0,
      "aria-valuemax": 0,
      "aria-valuenow": 0,
      onkeydown: (event) => this.#onKey(event),
      onfocus: () => this.#tell(true),
      onblur: () => this.#point(null),
      onpointermove: (event) => this.#onTouch(event),
    });
    plot.style.setProperty("--plot-height", `${HEIGHT}px`);
    return h(
      "div",
      { class: "series-chart" },
      h("i", { class: "probe", hidden: true }),
      plot,
      h("p", { class: "key" }),
      h("p", { class: "summary hidden", id: `chart-${made}` }),
    );
  }

  /** What else makes it draw anew: another width, light instead of dark. */
  #watch() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const recolour = () => {
      this.#colours.forget();
      this.#plot?.destroy(); // the points under the cursor have their colour from the beginning
      this.#plot = null;
      this.#draw();
    };
    const theme = new MutationObserver(recolour);
    theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    const size = new ResizeObserver(() => this.#draw());
    size.observe(this.#part("plot"));
    dark.addEventListener("change", recolour);
    this.#observers = [() => theme.disconnect(), () => size.disconnect(), () => dark.removeEventListener("change", recolour)];
  }

  #draw() {
    if (!this.#root || !this.#uPlot || !this.#shown) return;
    const place = this.#part("plot");
    const width = place.clientWidth;
    if (width === 0) return; // on a part of the page that is not seen; whoever shows it changes its width
    const { lines } = this.#shown;
    if (this.#plot && this.#count !== lines.length) {
      this.#plot.destroy();
      this.#plot = null;
    }
    const data = columns(lines.length ? lines : [{ points: [] }], this.#uPlot.join);
    if (!this.#plot) this.#plot = this.#start(place, width, data);
    else {
      if (this.#plot.width !== width) this.#plot.setSize({ width, height: HEIGHT });
      this.#plot.setData(data);
    }
    this.#count = lines.length;
    setText(this.#part("summary"), this.#summary());
    if (this.#at !== null) this.#point(this.#nearest(this.#at));
    this.#tell(document.activeElement !== place);
  }

  #start(place, width, data) {
    const told = {
      count: Math.max(1, this.#shown.lines.length),
      width,
      height: HEIGHT,
      colours: this.#colours,
      looks: () => this.#shown,
      onSelect: (since, until) => this.#onRange(since, until),
      onBack: () => this.#onRange(null, null),
      onCursor: () => this.#tell(true),
    };
    return new this.#uPlot(options(this.#uPlot, told), data, place);
  }

  /** All times that something is told of. */
  get #times() {
    return this.#plot?.data[0] ?? [];
  }

  #nearest(ts) {
    return this.#times.length ? this.#plot.valToIdx(ts) : null;
  }

  /** Put the cursor on one of the times; null takes it away. */
  #point(index) {
    this.#at = index === null ? null : this.#times[index];
    const left = index === null ? -10 : this.#plot?.valToPos(this.#at, "x");
    this.#plot?.setCursor({ left, top: index === null ? -10 : 10 });
  }

  #onKey(event) {
    const last = this.#times.length - 1;
    const here = this.#plot?.cursor.idx ?? last + 1;
    const steps = { ArrowLeft: here - 1, ArrowRight: here + 1, PageUp: here - 10, PageDown: here + 10, Home: 0, End: last, Escape: null };
    if (!(event.key in steps) || last < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const [first, end] = this.#inSight();
    const step = steps[event.key];
    this.#point(step === null ? null : Math.min(end, Math.max(first, step)));
  }

  /** The first and the last of the times that the range shows. */
  #inSight() {
    const { since, until } = this.#shown;
    const times = this.#times;
    const first = times.findIndex((ts) => ts * 1000 >= since);
    const last = times.findLastIndex((ts) => ts * 1000 <= until);
    return [Math.max(0, first), Math.max(0, last)];
  }

  /** A finger that goes over the chart reads it, as a mouse does. */
  #onTouch(event) {
    if (event.pointerType === "mouse" || !this.#plot) return;
    const { left, top } = this.#plot.over.getBoundingClientRect();
    this.#plot.setCursor({ left: event.clientX - left, top: event.clientY - top });
  }

  /** Write what the lines say where the cursor is, else what they say last. */
  #tell(isAnnounced) {
    if (!this.#root || !this.#shown) return;
    const { lines, marks, gap } = this.#shown;
    const index = this.#plot?.cursor.idx ?? null;
    const ts = index === null ? null : this.#times[index];
    const points = lines.map(({ raw }) => (ts === null ? raw.at(-1) : pointAt(raw, ts)));
    const when = ts ?? Math.max(...points.map((point) => point?.[0] ?? -Infinity));
    const odd = marks.filter(({ ts: at }) => ts !== null && Math.abs(at - ts) <= gap).map(({ text }) => text);
    const key = this.#part("key");
    if (key.children.length !== lines.length + 3) key.replaceChildren(...this.#keys(lines.length));
    const [time, ...rest] = key.children;
    const isKnown = Number.isFinite(when);
    setText(time, isKnown ? (ts === null ? timeText(iso(when)) : inBoth(iso(when))) : "");
    time.title = isKnown ? bothTimes(iso(when)) : "";
    lines.forEach(({ name }, place) => {
      setText(rest[place].querySelector(".who"), lines.length > 1 ? `${name} ` : "");
      setText(rest[place].querySelector("strong"), points[place] ? withUnit(points[place][1], this.#unit) : t("chart.none"));
      setText(rest[place].querySelector(".around"), lines.length > 1 ? "" : around(points[place]));
    });
    setText(rest.at(-1), odd.length ? `▲ ${odd.join(" ")}` : "");
    const plot = this.#part("plot");
    plot.setAttribute("aria-valuemax", Math.max(0, this.#times.length - 1));
    plot.setAttribute("aria-valuenow", index ?? Math.max(0, this.#times.length - 1));
    if (isAnnounced) plot.setAttribute("aria-valuetext", [...key.children].map((part) => part.textContent.trim()).filter(Boolean).join(", "));
  }

  #keys(count) {
    const line = (index) =>
      h("span", {}, count > 1 ? sample(index) : null, h("span", { class: "who" }), h("strong"), h("span", { class: "around quiet" }));
    return [
      h("span", { class: "at quiet" }),
      ...Array.from({ length: count }, (_, index) => line(index)),
      h("span", { class: "optimum quiet", text: this.#optimum() }),
      h("span", { class: "odd" }),
    ];
  }

  #optimum() {
    const [low, high] = this.#band ?? [];
    const values = { low: number(low ?? 0), high: withUnit(high ?? low, this.#unit), unit: this.#unit };
    if (typeof low === "number" && typeof high === "number") return t("chart.optimum", values);
    if (typeof low === "number") return t("chart.optimum_from", { low: withUnit(low, this.#unit) });
    if (typeof high === "number") return t("chart.optimum_to", { high: withUnit(high, this.#unit) });
    return "";
  }

  /** The chart in words. */
  #summary() {
    const { lines, marks, since, until } = this.#shown;
    const inSight = (ts) => ts * 1000 >= since && ts * 1000 <= until;
    const told = lines.map(({ name, raw, gaps }) => {
      const points = raw.filter(([ts]) => inSight(ts));
      if (points.length === 0) return t("chart.nothing", { name });
      const last = points.at(-1);
      const lowest = points.reduce((low, point) => Math.min(low, point[2]), Infinity);
      const highest = points.reduce((high, point) => Math.max(high, point[3]), -Infinity);
      const words = { name, last: withUnit(last[1], this.#unit), when: timeText(iso(last[0])) };
      const ends = { low: withUnit(lowest, this.#unit), high: withUnit(highest, this.#unit) };
      return `${t("chart.summary", { ...words, ...ends })} ${gaps ? n("chart.gaps", gaps) : ""}`;
    });
    const odd = marks.filter(({ ts }) => inSight(ts)).map(({ ts, text }) => `${timeText(iso(ts))}: ${text}`);
    return [...told, this.#optimum(), ...(odd.length ? [t("chart.marks"), ...odd] : []), t("chart.keys")].filter(Boolean).join(" ");
  }
}

/** A time in the viewer's zone, and what the clock says in UTC then. */
const inBoth = (at) => t("chart.at", { time: timeText(at), utc: at.slice(11, 19) });

/** What an average is made of. */
function around(point) {
  if (!point || point[4] < 2) return "";
  const [, , low, high, count] = point;
  return ` ${t("chart.around", { low: number(low), high: number(high), count: number(count) })}`;
}

/** A piece of the line, to know it by. */
function sample(index) {
  const drawing = document.createElementNS(SVG, "svg");
  const stroke = document.createElementNS(SVG, "line");
  const looks = { x1: 0, x2: 30, y1: 5, y2: 5, "stroke-width": 2.5, "stroke-dasharray": DASHES[index % DASHES.length].join(" ") };
  for (const [name, value] of Object.entries(looks)) stroke.setAttribute(name, value);
  stroke.style.stroke = `var(--${colourName(index)})`;
  drawing.setAttribute("viewBox", "0 0 30 10");
  drawing.setAttribute("aria-hidden", "true");
  drawing.append(stroke);
  return drawing;
}

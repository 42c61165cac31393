// What uPlot is told: axes in the viewer's language and zone, the colours of the page, the optimum and the marks.

import { lonely } from "./columns.js";
import { number } from "./numbers.js";
import { locale } from "./texts.js";

/** Beside the colour, how a line of several is dashed. */
export const DASHES = [[], [7, 4], [2, 3], [12, 3, 2, 3], [4, 2], [16, 5]];
const DAY = 86400; // s
const TICK = 78; // px between two times
const CHARACTER = 7; // px that a digit takes
const MOST_ROOM = 5; // times the height of the numbers and the nearer edge of the optimum that the other edge may cost
const CLOCK = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
const SECONDS = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit", second: "2-digit" });
const DATE = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });

/** Load uPlot and the styles of charts, once: a page that draws nothing needs neither. */
let library = null;
export function loadPlot() {
  library ??= Promise.all([script("/static/vendor/uPlot.iife.min.js"), style("/static/vendor/uPlot.min.css"), style("/static/core/chart.css")]);
  return library.then(() => window.uPlot);
}

const loaded = (element) =>
  new Promise((done, failed) => {
    element.addEventListener("load", done);
    element.addEventListener("error", () => failed(new Error(`not loaded: ${element.src ?? element.href}`)));
    document.head.append(element);
  });
const script = (src) => loaded(Object.assign(document.createElement("script"), { src }));
const style = (href) => loaded(Object.assign(document.createElement("link"), { rel: "stylesheet", href }));

/** Read the page's colours as a canvas can use them, which does not know `var()` and `light-dark()`. */
export class Colours {
  #probe;
  #known = new Map();

  constructor(probe) {
    this.#probe = probe;
  }

  /** Forget: light has become dark, or the other way round. */
  forget() {
    this.#known.clear();
  }

  get(name, alpha = 1) {
    if (!this.#known.has(name)) {
      this.#probe.style.color = `var(--${name})`;
      this.#known.set(name, getComputedStyle(this.#probe).color);
    }
    return alpha === 1 ? this.#known.get(name) : this.#known.get(name).replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
  }
}

/** The name of the variable that has a line's colour. */
export const colourName = (index) => `line-${(index % DASHES.length) + 1}`;

/**
 * The options of a plot of `count` lines. `looks()` tells what is shown: `since`, `until` (ms), `band`, `marks` and
 * `gap` (s); `onSelect(since, until)` and `onBack()` are called for a drag and a double click, `onCursor()` when it moves.
 */
export function options(uPlot, { count, width, height, colours, looks, onSelect, onBack, onCursor }) {
  const isSingle = count === 1;
  return {
    width,
    height,
    legend: { show: false },
    padding: [8, 12, 0, 0],
    scales: {
      x: { time: true, range: () => [looks().since / 1000, looks().until / 1000] },
      y: { range: (_, low, high) => reach(uPlot, low, high, looks().band) },
    },
    axes: axes(colours),
    series: [{}, ...lines(count, colours), ...(isSingle ? [edge(), edge()] : [])],
    bands: isSingle ? [{ series: [3, 2], fill: () => colours.get(colourName(0), 0.2) }] : [],
    cursor: {
      y: false,
      drag: { x: true, y: false, setScale: false },
      points: { show: (plot, index) => index > 0 && index <= count && dot(colours.get(colourName(index - 1))) },
      bind: { dblclick: () => () => onBack() },
    },
    hooks: {
      drawClear: [(plot) => drawBand(plot, looks().band, colours)],
      draw: [(plot) => drawMarks(plot, looks().marks, colours)],
      setCursor: [onCursor],
      setSelect: [
        (plot) => {
          const { left, width: wide } = plot.select;
          if (wide <= 0) return;
          plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          onSelect(plot.posToVal(left, "x") * 1000, plot.posToVal(left + wide, "x") * 1000);
        },
      ],
    },
  };
}

const lines = (count, colours) =>
  Array.from({ length: count }, (_, index) => {
    const colour = () => colours.get(colourName(index));
    return {
      stroke: colour,
      width: 2,
      dash: DASHES[index % DASHES.length],
      points: { show: false, fill: colour, size: 5, filter: (plot, series) => lonely(plot.data[series]) },
    };
  });

/** The smallest or the largest numbers, which are only seen as an edge of the band between them. */
const edge = () => ({ width: 0, points: { show: false } });

function axes(colours) {
  const common = {
    stroke: () => colours.get("quiet"),
    font: "12px system-ui, sans-serif",
    grid: { stroke: () => colours.get("line"), width: 1 },
    ticks: { show: false },
  };
  return [
    { ...common, space: TICK, size: 42, gap: 4, values: (_, splits, axis, space, step) => times(splits, step) },
    {
      ...common,
      space: 34,
      gap: 6,
      size: (_, values) => Math.max(34, ...(values ?? []).map((value) => value.length * CHARACTER + 14)),
      values: (_, splits) => numbers(splits),
    },
  ];
}

/** Times of an axis: the first of each day tells the day, too. */
function times(splits, step) {
  let day = "";
  return splits.map((at) => {
    const moment = new Date(at * 1000);
    const date = DATE.format(moment);
    if (step >= DAY) return date;
    const clock = (step < 60 ? SECONDS : CLOCK).format(moment);
    const isNew = date !== day;
    day = date;
    return isNew ? `${clock}\n${date}` : clock;
  });
}

function numbers(splits) {
  const step = splits.length > 1 ? splits[1] - splits[0] : 1;
  const digits = Math.min(6, Math.max(0, Math.ceil(-Math.log10(step) + 1e-9)));
  return splits.map((value) => number(value, digits));
}

/**
 * What the numbers' axis reaches from and to. The nearer edge of the optimum is always in sight, to show how far away the
 * numbers are; the other one where the numbers keep a fair part of the height.
 */
function reach(uPlot, low, high, band) {
  const edges = (band ?? []).filter((edge) => typeof edge === "number");
  const told = [low, high].filter((value) => Number.isFinite(value));
  const away = (edge) => Math.min(Math.abs(low - edge), Math.abs(high - edge));
  if (told.length) edges.sort((one, other) => away(one) - away(other));
  for (const edge of edges) {
    const longer = [Math.min(...told, edge), Math.max(...told, edge)];
    const [now, then] = [Math.max(...told) - Math.min(...told), longer[1] - longer[0]];
    if (told.length < 3 || then <= MOST_ROOM * now) told.push(edge);
  }
  if (told.length === 0) return [0, 1];
  return uPlot.rangeNum(Math.min(...told), Math.max(...told), 0.08, false);
}

function dot(colour) {
  const point = document.createElement("div");
  for (const [name, value] of Object.entries({ width: "9px", height: "9px", margin: "-4.5px 0 0 -4.5px", background: colour })) {
    point.style[name] = value;
  }
  return point;
}

function drawBand({ ctx, bbox, scales, valToPos }, band, colours) {
  if (!band || scales.y.min === null || scales.y.min === undefined) return;
  const edges = [band[1] ?? scales.y.max, band[0] ?? scales.y.min].map((value) => valToPos(value, "y", true));
  const top = Math.max(bbox.top, edges[0]);
  const bottom = Math.min(bbox.top + bbox.height, edges[1]);
  if (bottom <= top) return;
  ctx.save();
  ctx.fillStyle = colours.get("online", 0.13);
  ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
  ctx.strokeStyle = colours.get("online", 0.6);
  ctx.setLineDash([2, 4].map((length) => length * devicePixelRatio));
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  for (const [index, y] of edges.entries()) {
    if (band[1 - index] === null || band[1 - index] === undefined) continue; // open on this side
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
  }
  ctx.stroke();
  ctx.restore();
}

/** A triangle at the upper edge and a line down from it for each mark. */
function drawMarks({ ctx, bbox, scales, valToPos }, marks, colours) {
  const size = 6 * devicePixelRatio;
  ctx.save();
  ctx.fillStyle = colours.get("unknown");
  ctx.strokeStyle = colours.get("unknown", 0.55);
  ctx.lineWidth = devicePixelRatio;
  for (const { ts } of marks) {
    if (ts < scales.x.min || ts > scales.x.max) continue;
    const x = valToPos(ts, "x", true);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top + size * 1.6);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x + size, bbox.top + size * 1.6);
    ctx.lineTo(x - size, bbox.top + size * 1.6);
    ctx.fill();
  }
  ctx.restore();
}

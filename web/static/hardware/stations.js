// The list of stations: searched, narrowed and cut by the server; some of them chosen to be compared.

import { flash, h, keyed, setText } from "../core/dom.js";
import { chosen, startFilters } from "../core/filters.js";
import { Pager } from "../core/pager.js";
import { n, t } from "../core/texts.js";
import { makeCard, take, takePresence, updateCard } from "./card.js";
import { MOST } from "./view.js";

const element = (id) => document.getElementById(id);
const shown = new Map(); // serial -> Station JSON of the page shown
const missed = new Set(); // serials that were not shown when they were heard
const picked = new Set(); // serials to compare, on whatever page
const pager = new Pager("/api/soil-health/stations", {
  wanted: () => chosen,
  draw: (items) => {
    const known = new Map(shown);
    shown.clear();
    for (const station of items) shown.set(station.serial, newer(known.get(station.serial), station));
    draw();
  },
});

export const stations = pager.panel;

export function start() {
  startFilters(["q", "site", "status"], () => pager.restart());
  pager.start();
}

/** Take a reading that was pushed. */
export function onReading(data) {
  const station = shown.get(data.serial);
  if (!station) {
    if (data.kind === "sensor") askOnce(data.serial);
    return;
  }
  const { status } = station;
  if (take(station, data)) drawOne(station, status !== station.status);
}

/** Take a change of presence or place. */
export function onDevice(data) {
  const station = shown.get(data.serial);
  if (!station) {
    if (data.kind === "sensor") askOnce(data.serial);
    return;
  }
  const { presence } = station;
  takePresence(station, data);
  drawOne(station, presence !== station.presence);
}

/** What is not shown may be new, or on another page: that is found out once, and again at every look. */
function askOnce(serial) {
  if (missed.has(serial)) return;
  missed.add(serial);
  stations.request();
}

/** What was asked for may be older than what was pushed meanwhile. */
function newer(known, station) {
  if (!known?.ts || Date.parse(known.ts) <= Date.parse(station.ts)) return station;
  const { ts, health_index, status, anomalies, measures, contributions, recommendations } = known;
  return { ...station, ts, health_index, status, anomalies, measures, contributions, recommendations };
}

function drawOne(station, changed) {
  const card = element("stations").querySelector(`:scope > [data-key="${CSS.escape(station.serial)}"]`);
  updateCard(card, station);
  if (changed) flash(card);
}

function draw() {
  keyed(element("stations"), [...shown.values()], ({ serial }) => serial, make, updateCard);
  const isNarrowed = Object.values(chosen).some(Boolean);
  element("none").hidden = shown.size > 0;
  element("table").hidden = shown.size === 0;
  setText(element("none-words"), isNarrowed ? t("hardware.none_such") : t("hardware.none"));
  element("none-next").hidden = isNarrowed;
  pager.drawFoot(shown.size);
  drawChoice();
}

function make(station) {
  const { serial } = station;
  const box = h("input", { type: "checkbox", "data-serial": serial, onchange: ({ target }) => pick(serial, target.checked) });
  box.checked = picked.has(serial);
  return makeCard(station, { extra: h("label", { class: "pick" }, box, t("hardware.compare_this")) });
}

function pick(serial, isPicked) {
  if (isPicked) picked.add(serial);
  else picked.delete(serial);
  drawChoice();
}

function drawChoice() {
  const isFull = picked.size >= MOST;
  for (const box of element("stations").querySelectorAll("input[type=checkbox]")) {
    box.disabled = isFull && !box.checked;
  }
  const link = element("compare");
  link.hidden = picked.size < 2;
  link.href = `/hardware?${new URLSearchParams({ compare: [...picked].join(",") })}`;
  setText(link, n("hardware.compare", picked.size));
  const words = isFull ? t("hardware.no_more", { count: MOST }) : picked.size === 1 ? t("hardware.one_more") : t("hardware.choose");
  setText(element("choice-words"), picked.size > 1 && !isFull ? "" : words);
}

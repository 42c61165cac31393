// A station: its index and what drives it, what it measures and where that lies, and what is odd.

import { h, keyed, setText, setTime } from "../core/dom.js";
import { number, withUnit } from "../core/numbers.js";
import { stateText } from "../core/states.js";
import { t, tOr } from "../core/texts.js";
import { bandOf, measuresOf, nameOf, placeOf, unitOf, verdictOf } from "./measures.js";

const TONES = { Excellent: "good", Good: "good", Fair: "fair", Poor: "poor", Critical: "poor" };
const LEAST = 0.5; // points that are worth a word

/** Make the element of a station; `extra` stands in its head, and with `isOpen` all is told at once. */
export function makeCard({ serial }, { extra = null, isOpen = false } = {}) {
  const part = (name) => h("span", { class: name });
  return h(
    "li",
    { class: "station" },
    h(
      "div",
      { class: "about-station" },
      h("h3", {}, h("a", { class: "label", href: `/hardware?station=${encodeURIComponent(serial)}` }), part("serial")),
      extra,
      h("p", { class: "where" }, h("i", { class: "dot" }), part("state"), part("place"), part("age")),
    ),
    h(
      "div",
      { class: "health" },
      h("p", { class: "index" }, part("figure"), part("word")),
      h("span", { class: "gauge", "aria-hidden": "true" }, h("i")),
      h("details", { class: "drivers", open: isOpen }, h("summary"), h("ul", { class: "costs" }), h("ul", { class: "advice", lang: "en" }), h("p", { class: "crop quiet" })),
    ),
    h("ul", { class: "anomalies" }),
    h("dl", { class: "measures" }),
    h("p", { class: "more" }, h("a", { href: `/devices/${encodeURIComponent(serial)}`, text: t("hardware.device") })),
  );
}

export function updateCard(card, station) {
  const part = (name) => card.querySelector(name);
  const { label, serial, health_index: index } = station;
  setText(part(".label"), label ?? serial);
  setText(part(".serial"), label ? serial : "");
  part(".dot").className = `dot ${station.presence}`;
  setText(part(".state"), stateText(station.presence));
  setText(part(".place"), station.site ?? "");
  setTime(part(".age"), station.ts, t("hardware.read", { age: "{age}" }));
  part(".health").dataset.tone = TONES[station.status] ?? "none";
  setText(part(".figure"), index === null ? "–" : number(index, 0));
  part(".figure").title = index === null ? "" : t("hardware.of_hundred", { index: number(index, 1) });
  const none = station.ts ? t("hardware.no_index") : t("hardware.no_reading");
  setText(part(".word"), station.status ? tOr("hardware.status.", station.status) : none);
  part(".gauge").hidden = index === null;
  part(".gauge i").style.width = `${index ?? 0}%`;
  updateDrivers(part, station);
  keyed(part(".anomalies"), station.anomalies, (odd) => `${odd.kind} ${odd.measure}`, makeOdd, (item, odd) => updateOdd(item, odd, station));
  keyed(part(".measures"), measuresOf(station), ([name]) => name, makeMeasure, updateMeasure);
}

/** What holds the index back: what costs most first. */
function updateDrivers(part, { contributions, recommendations, forecast = [], crop = null }) {
  const told = Object.entries(contributions).filter(([, { lost, points }]) => typeof lost === "number" && typeof points === "number");
  const sorted = told.sort(([, one], [, other]) => other.lost - one.lost);
  const costly = sorted.filter(([, { lost }]) => lost >= LEAST).slice(0, 2);
  part(".drivers").hidden = sorted.length === 0;
  const words = costly.map(([name, { lost, measure }]) => `${nameOf(name, { measure })}\u00a0−${number(lost, 0)}`);
  setText(part(".drivers summary"), words.length ? t("hardware.held_back", { measures: words.join(", ") }) : t("hardware.nothing_lost"));
  keyed(part(".costs"), sorted, ([name]) => name, makeCost, updateCost);
  const sentences = [...recommendations, ...forecast.map(({ message }) => message)];
  keyed(part(".advice"), sentences, (said) => said, (said) => h("li", { text: said }), () => {});
  setText(part(".crop"), crop ? t("hardware.crop", { crop }) : "");
}

function makeCost() {
  return h("li", {}, h("span", { class: "who" }), h("span", { class: "won", "aria-hidden": "true" }, h("i")), h("span", { class: "points quiet" }));
}

function updateCost(item, [name, told]) {
  const all = told.points + told.lost;
  setText(item.querySelector(".who"), nameOf(name, told));
  item.querySelector(".won").style.setProperty("--all", all);
  item.querySelector(".won i").style.width = `${all > 0 ? (100 * told.points) / all : 0}%`;
  setText(item.querySelector(".points"), t("hardware.points", { points: number(told.points, 1), all: number(all, 1) }));
}

function makeOdd() {
  return h("li", { class: "odd" }, h("strong"), h("span", { class: "why", lang: "en" }));
}

function updateOdd(item, { kind, measure, value, message }, { contributions }) {
  const told = contributions[measure];
  item.dataset.kind = kind;
  const said = `${nameOf(measure, told)} ${withUnit(value, unitOf(measure, told))}: ${tOr("hardware.kind.", kind)}.`;
  setText(item.querySelector("strong"), said);
  setText(item.querySelector(".why"), message);
}

function makeMeasure() {
  return h(
    "div",
    {},
    h("dt"),
    h("dd", {}, h("span", { class: "value" }), h("span", { class: "bullet", role: "img" }, h("i", { class: "best" }), h("i", { class: "here" }))),
  );
}

function updateMeasure(item, [name, value, told]) {
  const bullet = item.querySelector(".bullet");
  setText(item.querySelector("dt"), nameOf(name, told));
  setText(item.querySelector(".value"), withUnit(value, unitOf(name, told)));
  bullet.hidden = bandOf(told) === null;
  if (bullet.hidden) return;
  const [verdict, words] = verdictOf(value, told);
  bullet.dataset.verdict = verdict;
  if (bullet.title !== words) bullet.title = words;
  bullet.setAttribute("aria-label", words);
  bullet.style.setProperty("--at", `${placeOf(value, told)}%`);
}

/** A reading that was pushed, on a station that is known; an older one that comes late changes nothing. */
export function take(station, { kind, ...data }) {
  if (station.ts && Date.parse(data.ts) < Date.parse(station.ts)) return false;
  // What no analyser takes does not hide what one has said.
  if (data.health_index === null && station.health_index !== null) return false;
  Object.assign(station, data);
  return true;
}

/** A change of presence or place. */
export function takePresence(station, data) {
  for (const name of ["presence", "reason", "since", "label", "site"]) {
    if (name in data) station[name] = data[name];
  }
}

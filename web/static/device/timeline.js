// What the presence was in the last day: one band that ends now and grows, and the same in words.

import { ApiError, get, serverNow } from "../core/api.js";
import { ageText, bothTimes, h, keyed, Refresher, setMoment, setText } from "../core/dom.js";
import { percent } from "../core/numbers.js";
import { n, t, tOr } from "../core/texts.js";
import { element, path } from "./this.js";

const WINDOW = 24 * 3600 * 1000; // ms
const GROWS = 5000; // ms between two drawings of what has not changed
const SLOTS = 72; // of a band in which more has changed than can be told apart
const ROWS = 200; // the newest
/** What a piece that stands for several shows: the worst of them. */
const WORST_FIRST = ["offline", "unknown", "online", null];

let segments = [];
let isRestless = false; // it has changed more often than the server tells

export const timeline = new Refresher(async () => {
  try {
    segments = (await get(path("/presence"))).items;
    isRestless = false;
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 400)) throw error;
    segments = [];
    isRestless = true;
  }
  draw();
});

/** A segment in words: what it was, and why. */
export function wordsOf({ presence, reason }) {
  if (!presence) return t("device.past.null");
  const why = reason ? tOr("device.past.", reason) : t("device.past.kept");
  return presence === "unknown" ? t("device.past.unknown", { why }) : `${tOr("states.", presence)}: ${tOr("states.", reason ?? "")}`;
}

/** The segments as they are now: the last goes on, what is older than the window has left it. */
function current() {
  const now = serverNow();
  const since = now - WINDOW;
  return segments
    .map((segment, index) => ({
      ...segment,
      key: index === segments.length - 1 ? "now" : segment.until, // the oldest begins later with each answer
      from: Math.max(Date.parse(segment.since), since),
      to: index === segments.length - 1 ? now : Date.parse(segment.until),
    }))
    .filter(({ from, to }) => to > from);
}

/** What the band shows: of a restless day, the short ones that begin in the same slot are one piece. */
function pieces(now) {
  if (now.length <= SLOTS) return now;
  const slot = WINDOW / SLOTS;
  const found = new Map();
  for (const segment of now) {
    const at = Math.floor(segment.from / slot);
    const key = segment.key === "now" || segment.to - segment.from >= slot ? segment.key : `slot ${at}`;
    const piece = found.get(key);
    found.set(key, piece ? joined(piece, segment) : { ...segment, key, count: 1 });
  }
  return [...found.values()];
}

function joined(piece, { presence, to }) {
  const isWorse = WORST_FIRST.indexOf(presence) < WORST_FIRST.indexOf(piece.presence);
  return { ...piece, to, count: piece.count + 1, presence: isWorse ? presence : piece.presence };
}

function draw() {
  const now = current();
  keyed(element("band"), pieces(now), ({ key }) => key, () => h("i", { role: "listitem" }), drawPiece);
  setText(element("band-words"), isRestless ? t("device.past.restless") : summary(now));
  drawRows(now);
}

/** The same in words, for who has opened it. */
function drawRows(now) {
  if (!element("past-words").open) return;
  keyed(element("past"), now.slice(-ROWS).toReversed(), ({ key }) => key, makeRow, drawRow);
  const left = now.length - ROWS;
  setText(element("past-more"), left > 0 ? n("device.past.earlier", left) : "");
}

function drawPiece(piece, { presence, reason, from, to, count = 1 }) {
  piece.className = presence ?? "never";
  piece.style.setProperty("--length", to - from);
  const words = count > 1 ? n("device.past.several", count) : wordsOf({ presence, reason });
  const said = `${words}\n${bothTimes(new Date(from).toISOString())}\n– ${bothTimes(new Date(to).toISOString())}`;
  if (piece.title === said) return;
  piece.title = said;
  piece.setAttribute("aria-label", said);
}

function makeRow() {
  return h("li", {}, h("i", { class: "dot" }), h("span", { class: "what" }), h("span", { class: "when quiet" }), h("span", { class: "long quiet" }));
}

function drawRow(row, segment) {
  const part = (name) => row.querySelector(name);
  part(".dot").className = `dot ${segment.presence ?? "never"}`;
  setText(part(".what"), wordsOf(segment));
  setMoment(part(".when"), new Date(segment.from).toISOString());
  setText(part(".long"), ageText((segment.to - segment.from) / 1000));
}

/** The band in one sentence: how much of the time it was there, as far as anybody knows. */
function summary(now) {
  const of = (wanted) => now.filter(({ presence }) => presence === wanted).reduce((sum, { from, to }) => sum + to - from, 0);
  const [online, offline, unknown] = [of("online"), of("offline"), of("unknown")];
  if (!online && !offline) return t("device.past.nothing");
  const told = [t("device.past.there", { share: percent(online / (online + offline), 1) })];
  const times = now.filter(({ presence }) => presence === "offline").length;
  if (times) told.push(n("device.past.away", times));
  if (unknown > 1000) told.push(t("device.past.blind", { time: ageText(unknown / 1000) }));
  return told.join(" · ");
}

export function start() {
  const hours = [24, 18, 12, 6];
  element("band-scale").append(
    ...hours.map((count) => h("span", { text: t("device.past.hours", { count }) })),
    h("span", { text: t("common.now") }),
  );
  element("past-words").addEventListener("toggle", draw);
  setInterval(() => document.hidden || draw(), GROWS);
}

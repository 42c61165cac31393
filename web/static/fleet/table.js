// One page of the devices, by what is chosen.
//
// A change of a device that is shown goes into its row at once, wherever the row stands. What belongs on this page, and
// in which order, is asked for anew a little later, and the answer waits for as long as somebody reads: while the
// pointer moves over the rows, or the keyboard is used in them, no row moves, comes or goes. A row that does not belong
// here any more stays where it is, faded, until then.

import { ApiError, get } from "../core/api.js";
import { flash, h, keyed, setText, setTime } from "../core/dom.js";
import { number } from "../core/numbers.js";
import { drawTurns } from "../core/pager.js";
import { n, t, tOr } from "../core/texts.js";
import { CalmRefresher } from "./calm.js";
import { chosen, isNarrowed } from "./choice.js";
import { startOrder } from "./order.js";
import { Reading } from "./reading.js";

const SIZE = 50; // of a page
const EVERY = 3000; // ms between two looks at who belongs here
const PACE = 250; // ms between two writings of rows
const MOST_FLASHES = 3; // rows at a time
/** What a presence event can change, by order and filter: only by these a device that is not shown may come in. */
const MOVING = ["presence", "since", "last_seen"];
const FILTERED = ["presence", "flapping", "quarantined"];

const element = (id) => document.getElementById(id);
const listed = new Map(); // serial -> Device JSON of the page shown
const changed = new Map(); // serial -> what events have told since the rows were written last
let cursors = [""]; // of the pages up to the one shown
let following = null;
let shown = null; // the question whose answer is shown
let answer = null; // one that waits until nobody reads
let reading = null;
let drawnAt = -Infinity;
let isToDraw = false;

export const panel = new CalmRefresher(look, EVERY);

/** Show the first page of what is chosen now. */
export function restart() {
  cursors = [""];
  panel.request();
}

export function start() {
  startOrder();
  element("previous").addEventListener("click", () => turn(cursors.slice(0, -1)));
  element("next").addEventListener("click", () => following && turn([...cursors, following]));
  reading = new Reading(element("devices"), () => answer && draw(answer));
}

function turn(to) {
  cursors = to;
  following = null;
  panel.request();
}

function question() {
  const query = new URLSearchParams({ limit: SIZE, ...chosen });
  if (cursors.at(-1)) query.set("cursor", cursors.at(-1));
  return query.toString();
}

async function look() {
  const asked = question();
  const page = await get(`/api/devices?${asked}`).catch(refused);
  if (asked !== question()) return; // something else is chosen meanwhile, and asked for
  if (page.items.length === 0 && cursors.length > 1) {
    turn(cursors.slice(0, -1)); // the page has become empty: the one before is to be asked for
    return;
  }
  page.question = asked;
  if (asked === shown && reading.isNow) {
    keepPlaces(page);
  } else {
    draw(page);
  }
}

/** Of what the server does not understand there is nothing. */
function refused(error) {
  if (!(error instanceof ApiError && error.status === 400)) throw error;
  return { items: [], cursor: null, matches: 0, refusal: error.message };
}

/** Take what an answer tells of those who are shown; who comes and goes has to wait. */
function keepPlaces(page) {
  answer = page;
  for (const device of page.items) if (listed.has(device.serial)) listed.set(device.serial, device);
  const here = new Set(page.items.map(({ serial }) => serial));
  for (const [serial, device] of listed) {
    const row = element("devices").querySelector(`[data-key="${CSS.escape(serial)}"]`);
    updateRow(row, device);
    row.classList.toggle("gone", !here.has(serial));
  }
}

function draw(page) {
  const isSame = page.question === shown;
  answer = null;
  shown = page.question;
  following = page.cursor;
  listed.clear();
  for (const device of page.items) listed.set(device.serial, device);
  const come = [];
  keyed(element("devices"), page.items, ({ serial }) => serial, makeRow, (row, device) => {
    if (isSame && !row.isConnected) come.push(row);
    updateRow(row, device);
    row.classList.remove("gone");
  });
  light(come);
  drawFoot(page);
  if (!isSame) setText(element("told"), page.refusal || n("fleet.matches", page.matches));
}

function drawFoot({ items, matches, refusal }) {
  const first = (cursors.length - 1) * SIZE;
  const isFirst = items.length === 0 && !isNarrowed() && !refusal;
  element("table").hidden = items.length === 0;
  element("first").hidden = !isFirst;
  element("filters").hidden = isFirst;
  element("none").hidden = items.length > 0 || isFirst;
  element("foot").hidden = items.length === 0;
  if (isFirst) teach();
  setText(element("none"), refusal || t("fleet.none"));
  const range = { first: number(first + 1), last: number(first + items.length), matches: number(matches) };
  setText(element("fleet-note"), t("fleet.range", range));
  drawTurns(cursors.length < 2, !following);
}

/** Say how the first device comes, with the address of the broker that it can be tried with. */
async function teach() {
  const { items } = await get("/api/brokers").catch(() => ({ items: [] }));
  const address = items[0]?.address ?? "localhost";
  setText(element("first-command"), `mosquitto_pub -L mqtt://${address}/devices/announce -m '{"device_id": "pi-7"}'`);
}

/** Take a change that was pushed. Rows are written a few times a second, however many changes there are. */
export function onDevice(kind, data) {
  if (listed.has(data.serial)) {
    changed.set(data.serial, kind === "removed" ? { gone: true } : { ...changed.get(data.serial), ...data });
    drawSoon();
  } else if (kind === "presence" && !MOVING.includes(chosen.sort) && !FILTERED.some((name) => chosen[name])) {
    return; // whoever is not shown stays so
  }
  panel.soon();
}

function drawSoon() {
  if (isToDraw) return;
  isToDraw = true;
  const wait = Math.max(0, drawnAt + PACE - performance.now());
  setTimeout(() => requestAnimationFrame(drawChanges), wait);
}

function drawChanges() {
  isToDraw = false;
  drawnAt = performance.now();
  const turned = [];
  for (const [serial, change] of changed) {
    const device = listed.get(serial);
    if (!device) continue; // the page was turned meanwhile
    const row = element("devices").querySelector(`[data-key="${CSS.escape(serial)}"]`);
    if (change.presence && change.presence !== device.presence) turned.push(row);
    Object.assign(device, change);
    updateRow(row, device);
    row.classList.toggle("gone", Boolean(change.gone) || !belongs(device));
  }
  changed.clear();
  light(turned);
}

/** One that comes or turns is to be seen; where many do, a page that lights up all over says nothing. */
function light(rows) {
  if (rows.length <= MOST_FLASHES) rows.forEach(flash);
}

/** Whether a device passes those filters that can be judged here. */
function belongs(device) {
  return (
    ["presence", "kind", "site", "type"].every((name) => !chosen[name] || device[name] === chosen[name]) &&
    ["flapping", "quarantined"].every((name) => !chosen[name] || device[name])
  );
}

function makeRow({ serial }) {
  const part = (name) => h("span", { class: name });
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("a", { class: "label", href: `/devices/${encodeURIComponent(serial)}` }),
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
  setText(part("state"), t(`states.${device.presence}`));
  setText(part("reason"), device.since ? tOr("states.", device.reason) : t("fleet.never"));
  const marks = ["quarantined", "flapping"].filter((name) => device[name]);
  keyed(part("marks"), marks, (mark) => mark, (mark) => h("span", { class: "mark", text: t(`states.${mark}`) }), () => {});
  part("since").hidden = !device.since;
  setTime(part("since"), device.since);
  setTime(part("seen"), device.last_seen, t("common.ago"));
  setText(part("kind"), tOr("states.", device.kind));
  setText(part("site"), device.site ?? "");
  setText(part("address"), device.ip_address ?? "–");
}

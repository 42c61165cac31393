// Elements without HTML strings: texts from devices only ever become text.

import { serverNow } from "./api.js";
import { locale, t } from "./texts.js";

/** Make an element; `properties` are attributes, `on...` listeners, and `text`. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Set a text only where it differs, so that nothing is selected away or announced again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Make `parent` hold one element per item, in order; elements are kept by key, so focus and open parts survive. */
export function keyed(parent, items, keyOf, make, update) {
  const keys = new Set(items.map((item) => String(keyOf(item))));
  // What goes leaves first: whatever stands behind it then has to be moved no more, and what is moved loses the focus.
  for (const element of [...parent.children]) if (!keys.has(element.dataset.key)) element.remove();
  const old = new Map([...parent.children].map((element) => [element.dataset.key, element]));
  items.forEach((item, index) => {
    const key = String(keyOf(item));
    let element = old.get(key);
    if (!element) {
      element = make(item);
      element.dataset.key = key;
    }
    update(element, item);
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
  });
}

/** Let an element light up for a moment. */
export function flash(element) {
  element.classList.remove("flash");
  void element.offsetWidth; // restarts the animation
  element.classList.add("flash");
}

const STEPS = [
  [60, 1, "common.seconds"],
  [3600, 60, "common.minutes"],
  [86400, 3600, "common.hours"],
  [Infinity, 86400, "common.days"],
];
const MOMENT = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });

/** An age in words as short as `12 s`, `3 min`, `5 h`, `9 d`. */
export function ageText(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [, unit, key] = STEPS.find(([limit]) => whole < limit);
  return t(key, { count: Math.floor(whole / unit) });
}

/** A time in the viewer's zone. */
export const timeText = (iso) => MOMENT.format(new Date(iso));

/** The time of day of a moment in ms, in the viewer's zone; with its date where that is not today's. */
export const clockText = (at) =>
  new Date(at).toDateString() === new Date().toDateString() ? CLOCK.format(at) : MOMENT.format(at);

/** The same with the time in UTC, for whoever asks more closely. */
export const bothTimes = (iso) => `${timeText(iso)}\n${new Date(iso).toISOString().replace("T", " ").replace("Z", " UTC")}`;

/** Give an element a time whose age is kept up to date by `tickAges`; `pattern` is a text with `{age}` in it. */
export function setTime(element, iso, pattern = "{age}") {
  const title = iso ? bothTimes(iso) : "";
  if (element.dataset.time !== (iso ?? "")) element.dataset.time = iso ?? "";
  element.dataset.pattern = pattern;
  if (element.title !== title) element.title = title;
  drawAge(element, serverNow());
}

/** Give an element a time as a moment in the viewer's zone, UTC on hover. */
export function setMoment(element, iso) {
  setText(element, iso ? timeText(iso) : "–");
  element.title = iso ? bothTimes(iso) : "";
}

function drawAge(element, now) {
  const at = Date.parse(element.dataset.time);
  setText(element, at ? element.dataset.pattern.replace("{age}", ageText((now - at) / 1000)) : "–");
}

function drawDue(element, now) {
  const left = (Number(element.dataset.due) - now) / 1000;
  const due = left > 0 ? t("common.in", { age: ageText(left + 1) }) : t("common.now");
  setText(element, element.dataset.pattern.replace("{due}", due));
}

/** Write all ages anew; called every second. */
export function tickAges(now) {
  for (const element of document.querySelectorAll("[data-time]")) drawAge(element, now);
  for (const element of document.querySelectorAll("[data-due]")) drawDue(element, now);
}

/** Give an element a time to come, in ms as `serverNow` counts; `pattern` has `{due}` in it. null takes it away. */
export function setDue(element, at, pattern) {
  if (at !== null) {
    element.dataset.due = at;
    element.dataset.pattern = pattern;
    drawDue(element, serverNow());
    return;
  }
  delete element.dataset.due;
  setText(element, "");
}

/** Fetch on demand, one at a time: a request during a fetch leads to one more after it, so the last word is the newest. */
export class Refresher {
  #fetch;
  #running = false;
  #again = false;

  constructor(fetch) {
    this.#fetch = fetch;
  }

  async request() {
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    do {
      this.#again = false;
      await this.#fetch().catch((error) => console.info(`not refreshed: ${error.message}`));
      // What changes all the time is fetched twice a second at most.
      if (this.#again) await new Promise((done) => setTimeout(done, 500));
    } while (this.#again);
    this.#running = false;
  }
}

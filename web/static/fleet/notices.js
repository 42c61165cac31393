// Who waits and what is wrong, at a glance, each with the way to the page where something can be done about it.

import { get } from "../core/api.js";
import { h, keyed, Refresher, setText } from "../core/dom.js";
import { n, t } from "../core/texts.js";
import { CalmRefresher } from "./calm.js";

const EVERY = 2000; // ms
const COUNTED = 100; // enrolments; those who wait come first
const UP = ["subscribed", "congested"]; // the states of a link that hears
const ROWS = [
  ["waiting", "/settings?tab=enrolment", "fleet.notice.waiting"],
  ["alarms", "/alarms", "fleet.notice.alarms"],
  ["links", "/supervision", "fleet.notice.links"],
  ["parked", "/supervision", "fleet.notice.parked"],
];

/** By name how many there are; undefined as long as nobody has told. */
const counts = {};
let mayLook = false;

export const waiting = new Refresher(async () => {
  if (!mayLook) return;
  const { items } = await get(`/api/enrolments?limit=${COUNTED}`);
  note({ waiting: items.filter(({ state }) => state === "pending").length });
});

export const server = new CalmRefresher(async () => {
  const { broker, actors } = await get("/api/health");
  note({ links: Object.values(broker.links).filter((state) => !UP.includes(state)).length, parked: actors.quarantined });
}, EVERY);

export const drawAlarms = (alarms) => note({ alarms });

export function start(role) {
  mayLook = role === "operate" || role === "admin";
}

function note(told) {
  Object.assign(counts, told);
  const found = ROWS.filter(([name]) => counts[name]);
  // Nothing is said to be well before everybody has told.
  const isWell = found.length === 0 && ["alarms", "links"].every((name) => counts[name] === 0);
  const rows = isWell ? [["well", "", "fleet.notice.well"]] : found;
  keyed(document.getElementById("notices"), rows, ([name]) => name, make, (row, [name, , key]) => {
    setText(row.firstChild, name === "well" ? t(key) : n(key, counts[name]));
  });
}

function make([name, href]) {
  return h("li", { class: `notice ${name}` }, href ? h("a", { href }) : h("span"));
}

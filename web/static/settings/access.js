// The broker's users: how the broker is told of them, what waits, and new passwords without downtime.

import { ApiError, get, post } from "../core/api.js";
import { h, keyed, Refresher, setText, timeText } from "../core/dom.js";
import { button } from "../core/frame.js";
import { number } from "../core/numbers.js";
import { n, t } from "../core/texts.js";
import { showSecret } from "./secret.js";

const element = (id) => document.getElementById(id);

const status = new Refresher(async () => {
  const told = await get("/api/access").catch((error) => {
    if (error instanceof ApiError) return { problem: error.message };
    throw error;
  });
  const problem = told.problem ?? (told.mechanism === "none" ? t("settings.access.not_ours") : told.reason && t("settings.access.reason", told));
  setText(element("access-problem"), problem);
  element("access-problem").hidden = !problem;
  element("access-known").hidden = Boolean(told.problem) || told.mechanism === "none";
  if (!told.problem) keyed(element("access-facts"), facts(told), ([name]) => name, makeFact, updateFact);
  if (!told.problem) element("orders-list").querySelector('[data-order="retire"]').hidden = !told.shared_user;
});

export const panels = [status];
export const often = [status];
export const events = { enrolment: () => status.request() };

export function ready() {
  element("orders").addEventListener("submit", (event) => event.preventDefault());
  element("orders-list").append(...ORDERS.map(makeOrder));
}

function facts(told) {
  const yes = (value) => t(value ? "settings.yes" : "settings.no");
  const until = (time) => (time ? t("settings.access.old_until", { time: timeText(time) }) : t("settings.access.single"));
  return [
    ["mechanism", t(`settings.access.by.${told.mechanism}`)],
    ["accounts", number(told.devices)],
    ["waiting", number(told.waiting)],
    ["renewing", number(told.renewing)],
    ["server_user", `${told.server_user} (${until(told.server_user_ends)})`],
    ["fleet_key", until(told.fleet_key_ends)],
    ["anonymous", yes(told.anonymous)],
    ["shared_user", yes(told.shared_user)],
  ];
}

const makeFact = ([name]) => h("div", {}, h("dt", { text: t(`settings.access.fact.${name}`) }), h("dd"));
const updateFact = (row, [, value]) => setText(row.querySelector("dd"), value);

/** How long what was good before stays good: nothing means as configured. */
const grace = () => (element("grace").value === "" ? {} : { grace: Number(element("grace").value) });
const named = () => element("devices").value.split(/[\s,]+/).filter(Boolean);

const ORDERS = [
  ["fleet_key", async () => {
    const { key, ends } = await post("/api/access/fleet-key", grace());
    showSecret(t("settings.access.new_key", { time: timeText(ends) }), key);
  }],
  ["server_password", () => post("/api/access/server-password", grace())],
  ["devices", async () => {
    const { devices } = await post("/api/access/devices", { ...grace(), devices: named() });
    setText(element("orders-list").querySelector('[data-order="devices"] .result'), n("settings.access.asked", devices.length));
  }],
  ["retire", () => post("/api/access/retire-shared")],
];

function makeOrder([name, act]) {
  const label = t(`settings.access.do.${name}`);
  const pressed = button(label, label, act, status, { confirm: t(`settings.access.ask.${name}`), done: t(`settings.access.done.${name}`) });
  pressed.className = "plain";
  return h("li", { "data-order": name }, pressed, h("p", { class: "quiet", text: t(`settings.access.why.${name}`) }), h("p", { class: "result", role: "status" }));
}

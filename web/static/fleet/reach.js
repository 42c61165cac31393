// What reaches the device that is chosen: its open alarms, commands and notifications, each with its live state.

import { get, post } from "../core/api.js";
import { h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { button, run } from "../core/frame.js";
import { words } from "../core/nodes.js";
import { drawState, isUnderWay } from "../core/states.js";
import { t } from "../core/texts.js";

const SHOWN = 5; // of each, the newest
const LONGEST = 80; // characters of a result in its line
const COMMANDS = { Ping: "ping", Identify: "identify" };

const element = (id) => document.getElementById(id);
const escaped = encodeURIComponent;
const reasons = new Map(); // by notification and state, what the ledger says of it
let chosen = null;
let mayOperate = false;

/** A list that asks for the device that is chosen, and is drawn if it still is when the answer comes. */
const listOf = (ask, draw) =>
  new Refresher(async () => {
    const serial = chosen;
    if (!serial) return;
    const items = await ask(serial);
    if (serial === chosen) draw(items);
  });

export const alarms = listOf(
  async (serial) => (await get(`/api/alarms?state=open&limit=${SHOWN}&device=${escaped(serial)}`)).items,
  (items) => {
    element("alarms-of").hidden = items.length === 0;
    keyed(element("alarms-list"), items, ({ id }) => id, makeAlarm, updateAlarm);
  },
);

export const commands = listOf(
  async (serial) => (await get(`/api/devices/${escaped(serial)}/commands?limit=${SHOWN}`)).items,
  (items) => keyed(element("commands-list"), items, ({ id }) => id, makeCommand, updateCommand),
);

export const notifications = listOf(
  async (serial) => {
    const { items } = await get(`/api/notifications?limit=${SHOWN}&device=${escaped(serial)}`);
    return Promise.all(items.map(async (item) => ({ ...item, reason: await reasonOf(item) })));
  },
  (items) => keyed(element("notifications-list"), items, ({ id }) => id, makeNotification, updateNotification),
);

export const panels = [alarms, commands, notifications];

/** Show what reaches a device; null for none. */
export function choose(serial) {
  chosen = serial;
  reasons.clear();
  element("alarms-of").hidden = true;
  for (const id of ["alarms-list", "commands-list", "notifications-list"]) element(id).replaceChildren();
  element("notify").reset();
  for (const panel of panels) panel.request();
}

/** Take a change that was pushed; one that names no device may be of any. */
export function onChange(panel, { device }) {
  if (!device || device === chosen) panel.request();
}

export function start(role) {
  mayOperate = role === "operate" || role === "admin";
  if (!mayOperate) return;
  const give = (name) => () => post(`/api/devices/${escaped(chosen)}/commands`, { name });
  const buttons = Object.entries(COMMANDS).map(([label, name]) => button(label, `${label} this device`, give(name), commands));
  element("commands-buttons").append(...buttons);
  element("notify").hidden = false;
  element("notify").addEventListener("submit", send);
}

async function send(event) {
  event.preventDefault();
  const [device, title, body, priority] = [chosen, ...["title", "body", "priority"].map((name) => element(`notify-${name}`).value)];
  element("notify-send").disabled = true;
  const isSent = await run(() => post("/api/notifications", { device, title, body, priority }));
  element("notify-send").disabled = false;
  if (isSent && device === chosen) element("notify").reset();
  notifications.request();
}

/** Why a notification is where it is: told with its deliveries only, and asked for once per state. */
async function reasonOf({ id, status, recipients }) {
  const key = `${id} ${status}`;
  if (recipients !== 1 || !["accepted", "failed", "expired"].includes(status)) return "";
  if (!reasons.has(key)) {
    const { deliveries } = await get(`/api/notifications/${escaped(id)}?limit=1`);
    reasons.set(key, deliveries[0]?.reason ?? "");
  }
  return reasons.get(key);
}

function line(name, ...more) {
  return h(
    "div",
    { class: "line" },
    h("span", { class: "id", text: name, title: name }),
    h("span", { class: "verdict" }),
    h("span", { class: "facts quiet when" }),
    ...more,
  );
}

function makeAlarm({ id, rule }) {
  const acknowledge = button("Acknowledge", `Acknowledge alarm ${id}`, () => post(`/api/alarms/${id}/acknowledge`), alarms);
  const buttons = mayOperate ? h("span", { class: "buttons" }, acknowledge) : null;
  return h("li", {}, line(rule, buttons), h("p", { class: "detail" }));
}

function updateAlarm(row, alarm) {
  const part = (name) => row.querySelector(name);
  drawState(part(".verdict"), alarm.severity);
  setTime(part(".when"), alarm.raised, t("common.ago"));
  const said = alarm.acknowledged ? `${alarm.summary} (acknowledged by ${alarm.acknowledged_by})` : alarm.summary;
  setText(part(".detail"), said);
  if (mayOperate) part(".buttons").hidden = Boolean(alarm.acknowledged);
}

function makeCommand({ id, name }) {
  const cancel = button("Cancel", `Cancel ${name}`, () => post(`/api/commands/${escaped(id)}/cancel`), commands);
  const buttons = mayOperate ? h("span", { class: "buttons" }, cancel) : null;
  return h("li", {}, line(name, buttons), h("p", { class: "detail quiet" }), h("details", {}, h("summary"), h("pre")));
}

function updateCommand(row, command) {
  const part = (name) => row.querySelector(name);
  drawState(part(".verdict"), command.state);
  setTime(part(".when"), command.created, t("common.ago"));
  setText(part(".detail"), command.reason ?? "");
  if (mayOperate) part(".buttons").hidden = !isUnderWay(command.state);
  part("details").hidden = command.result === null;
  if (command.result === null) return;
  setText(part("summary"), JSON.stringify(command.result).slice(0, LONGEST));
  setText(part("pre"), JSON.stringify(command.result, null, 2));
}

function makeNotification({ title }) {
  return h("li", {}, line(title.trim() || "(without a title)"), h("p", { class: "detail quiet" }));
}

function updateNotification(row, notification) {
  drawState(row.querySelector(".verdict"), notification.status);
  setTime(row.querySelector(".when"), notification.created, t("common.ago"));
  setText(row.querySelector(".detail"), words(notification.reason));
}

// What was sent to the device, how far each delivery came, and the form to send more.

import { get, post } from "../core/api.js";
import { h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { run } from "../core/frame.js";
import { drawState } from "../core/states.js";
import { t, tOr } from "../core/texts.js";
import { element, only, serial } from "./this.js";

const SHOWN = 10; // the newest
const MOST = 100; // deliveries of one notification among which this device's is looked for
const deliveries = new Map(); // by notification, state and counts: what has become of it here

export const notifications = new Refresher(async () => {
  const { items } = await get(only("/api/notifications", { limit: SHOWN }));
  const told = await Promise.all(items.map(async (item) => ({ ...item, here: await deliveryOf(item) })));
  element("notifications-none").hidden = told.length > 0;
  keyed(element("notifications-list"), told, ({ id }) => id, make, update);
});

export function start(role) {
  element("notify").hidden = role !== "operate" && role !== "admin";
  element("notify").addEventListener("submit", send);
  element("notifications-all").href = only("/notifications");
}

/** The delivery to this device: told with the notification alone, and asked for once per state. */
async function deliveryOf({ id, status, counts }) {
  const key = `${id} ${status} ${JSON.stringify(counts)}`;
  if (!deliveries.has(key)) {
    const told = await get(`/api/notifications/${encodeURIComponent(id)}?limit=${MOST}`);
    deliveries.set(key, told.deliveries.find(({ device }) => device === serial) ?? null);
  }
  return deliveries.get(key);
}

async function send(event) {
  event.preventDefault();
  const [title, body, priority] = ["title", "body", "priority"].map((name) => element(`notify-${name}`).value);
  element("notify-send").disabled = true;
  const isSent = await run(() => post("/api/notifications", { device: serial, title, body, priority }), t("device.notify.sent"));
  element("notify-send").disabled = false;
  if (isSent) element("notify").reset();
  notifications.request();
}

function make({ title }) {
  const shown = title.trim() || t("device.notify.untitled");
  return h(
    "li",
    {},
    h("div", { class: "line" }, h("span", { class: "id", text: shown, title: shown }), h("span", { class: "verdict" }), h("span", { class: "quiet when" })),
    h("p", { class: "detail quiet" }),
  );
}

function update(row, { here, status, created, priority, sent_by: who, recipients }) {
  const part = (name) => row.querySelector(name);
  drawState(part(".verdict"), here?.state ?? status);
  setTime(part(".when"), here?.updated ?? created, t("common.ago"));
  const told = [
    here?.reason ? tOr("device.notify.reason.", here.reason) : "",
    priority === "normal" ? "" : t("device.notify.priority_is", { priority: tOr("states.", priority) }),
    recipients > 1 ? t("device.notify.to_many", { count: recipients }) : "",
    who ? t("device.notify.by", { who }) : "",
  ];
  setText(part(".detail"), told.filter(Boolean).join(" · "));
}

// The page of the notifications: the newest first, and what has become of each at each of its recipients.

import { get } from "../core/api.js";
import { h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { chosen } from "../core/filters.js";
import { start } from "../core/frame.js";
import { List } from "../core/list.js";
import { words } from "../core/nodes.js";
import { drawState } from "../core/states.js";
import { t } from "../core/texts.js";

const SHOWN = 100; // recipients of one notification

const element = (id) => document.getElementById(id);
const list = new List("/api/notifications", {
  filters: ["device"],
  keyOf: ({ id }) => id,
  make,
  update,
  none: () => (chosen.device ? "No notification to this device." : "Nothing has been sent yet."),
});

const totals = new Refresher(async () => {
  const told = await get("/api/notifications/stats");
  const counts = [
    [told.total_success, "accepted"],
    [told.total_failed, "failed or expired"],
    [told.waiting, "waiting"],
  ];
  const said = counts.filter(([count]) => count).map(([count, what]) => `${count.toLocaleString()} ${what}`);
  setText(element("totals"), [...said, ...(told.connected ? [] : ["the broker is away"])].join(" · "));
});

function make({ id }) {
  const part = (name) => h("span", { class: name });
  const recipients = h("ul", { class: "recipients" });
  const details = h("details", {}, h("summary"), recipients);
  const row = h(
    "tr",
    {},
    h("th", { scope: "row", class: "what" }, part("title"), details),
    h("td", { class: "how" }, part("priority"), part("qos")),
    h("td", { class: "state" }, part("verdict"), part("tally")),
    h("td", { class: "time" }, part("age"), part("by")),
  );
  const deliveries = new Refresher(async () => {
    if (!details.open) return;
    const told = await get(`/api/notifications/${encodeURIComponent(id)}?limit=${SHOWN}`);
    drawRecipients(recipients, told);
  });
  details.addEventListener("toggle", () => deliveries.request());
  row.look = () => deliveries.request();
  return row;
}

function update(row, notification) {
  const part = (name) => row.querySelector(`.${name}`);
  const counts = Object.entries(notification.counts);
  const { recipients } = notification;
  setText(part("title"), notification.title.trim() || "(without a title)");
  setText(row.querySelector("summary"), recipients === 1 ? "1 recipient" : `${recipients.toLocaleString()} recipients`);
  setText(part("priority"), notification.priority);
  setText(part("qos"), `QoS ${notification.qos}${notification.retain ? ", retained" : ""}`);
  drawState(part("verdict"), notification.status);
  const told = counts.map(([state, count]) => `${count.toLocaleString()} ${words(state)}`);
  setText(part("tally"), counts.length > 1 ? told.join(" · ") : "");
  setTime(part("age"), notification.created, t("common.ago"));
  setText(part("by"), notification.sent_by ? `by ${notification.sent_by}` : "");
  row.look();
}

function drawRecipients(recipients, { deliveries, cursor }) {
  const rows = cursor ? [...deliveries, null] : deliveries;
  keyed(recipients, rows, (told) => (told ? `${told.device} ${told.topic}` : ""), makeRecipient, updateRecipient);
}

function makeRecipient(told) {
  if (!told) return h("li", { class: "quiet", text: `the first ${SHOWN}` });
  const name = h("span", { class: "address", text: told.device ?? told.topic, title: told.topic });
  return h("li", {}, name, h("span", { class: "verdict" }), h("span", { class: "quiet" }));
}

function updateRecipient(row, told) {
  if (!told) return;
  drawState(row.querySelector(".verdict"), told.state);
  setText(row.querySelector(".quiet"), words(told.reason ?? ""));
}

start({
  panels: [list.panel, totals],
  often: [list.panel, totals],
  events: {
    delivery: () => {
      totals.request();
      list.onChange();
    },
  },
  ready: () => list.start(),
});

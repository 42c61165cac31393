// The page of the notifications: the newest first, what has become of each at each of its recipients, and a form to send.

import { get } from "../core/api.js";
import { detail, openLink, startDetail } from "../core/detail.js";
import { h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { isNarrowed } from "../core/filters.js";
import { start } from "../core/frame.js";
import { List } from "../core/list.js";
import { number } from "../core/numbers.js";
import { drawState, tallyText } from "../core/states.js";
import { n, t, tOr } from "../core/texts.js";
import { notificationDetail } from "./notification.js";
import { groups, startSending } from "./send.js";

const element = (id) => document.getElementById(id);
const list = new List("/api/notifications", {
  filters: ["device"],
  keyOf: ({ id }) => id,
  make,
  update,
  none: () => (isNarrowed() ? t("notifications.no_match") : t("notifications.none")),
});

const totals = new Refresher(async () => {
  const told = await get("/api/notifications/stats");
  const counts = [
    ["accepted", told.total_success],
    ["failed", told.total_failed],
    ["waiting", told.waiting],
  ];
  const figures = counts.filter(([, count]) => count).map(([name, count]) => ({ name, text: t(`notifications.total.${name}`, { count: number(count) }) }));
  if (!told.connected) figures.push({ name: "away", text: t("notifications.total.away") });
  keyed(element("totals"), figures, ({ name }) => name, () => h("li"), (item, { text }) => setText(item, text));
});

function make({ id }) {
  const part = (name) => h("span", { class: name });
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "what" }, openLink("notification", id), part("recipients")),
    h("td", { class: "how" }, part("priority"), part("qos")),
    h("td", { class: "state" }, part("verdict"), part("tally")),
    h("td", { class: "time" }, part("age"), part("by")),
  );
}

function update(row, notification) {
  const part = (name) => row.querySelector(`.${name}`);
  setText(part("open"), notification.title.trim() || t("notifications.untitled"));
  setText(part("recipients"), n("notifications.recipients", notification.recipients));
  setText(part("priority"), tOr("states.", notification.priority));
  setText(part("qos"), t(notification.retain ? "notifications.qos_retained" : "notifications.qos_is", { qos: notification.qos }));
  drawState(part("verdict"), notification.status);
  setText(part("tally"), Object.keys(notification.counts).length > 1 ? tallyText(notification.counts) : "");
  setTime(part("age"), notification.created, t("common.ago"));
  setText(part("by"), notification.sent_by ? t("common.by", { who: notification.sent_by }) : "");
}

start({
  panels: [list.panel, totals, groups, detail],
  often: [list.panel, totals],
  events: {
    delivery: ({ notification }) => {
      totals.request();
      list.onChange();
      // Of many at once only the number is told.
      if (!notification || location.hash === `#notification/${notification}`) detail.request();
    },
  },
  ready: (role) => {
    list.start();
    startSending(role, list.panel);
    startDetail({ notification: notificationDetail });
  },
});

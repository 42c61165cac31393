// One notification: what it says, and its receipt from each recipient.

import { get } from "../core/api.js";
import { detail, deviceLink, drawFacts, factList, moment } from "../core/detail.js";
import { h, keyed, setText, setTime } from "../core/dom.js";
import { drawState, tallyText } from "../core/states.js";
import { n, t, tOr } from "../core/texts.js";

const STEP = 100; // recipients more at a time
const MOST = 1000;
let shown = { id: "", limit: STEP };

export const notificationDetail = {
  load: (id) => {
    if (shown.id !== id) shown = { id, limit: STEP };
    return get(`/api/notifications/${encodeURIComponent(id)}?limit=${shown.limit}`);
  },
  title: ({ title }) => title.trim() || t("notifications.untitled"),
  make,
  update,
};

function make() {
  const more = () => {
    shown.limit = Math.min(shown.limit + STEP, MOST);
    detail.request();
  };
  return h(
    "div",
    {},
    h("p", { class: "note" }, h("span", { class: "verdict" }), " ", h("span", { class: "tally quiet" })),
    h("p", { class: "note says" }),
    factList(),
    h("details", { class: "data" }, h("summary", { text: t("notifications.data") }), h("pre", {})),
    h("h3", { class: "to" }),
    h("ul", { class: "rows deliveries" }),
    h("p", { class: "note more" }, h("button", { type: "button", class: "plain", text: t("common.more"), onclick: more })),
  );
}

function update(body, told) {
  const part = (name) => body.querySelector(name);
  const { payload, deliveries, counts } = told;
  drawState(part(".verdict"), told.status);
  setText(part(".tally"), tallyText(counts));
  setText(part(".says"), payload?.body ?? "");
  part(".says").hidden = !payload?.body;
  const data = payload?.data && Object.keys(payload.data).length ? JSON.stringify(payload.data, null, 2) : "";
  part(".data").hidden = !data;
  setText(part(".data pre"), data);
  drawFacts(part("dl"), [
    [t("notifications.priority"), tOr("states.", told.priority)],
    [t("notifications.qos"), t(told.retain ? "notifications.qos_retained" : "notifications.qos_is", { qos: told.qos })],
    [t("notifications.sent"), moment(told.created)],
    [t("notifications.expires"), moment(told.expires)],
    [t("notifications.sent_by"), told.sent_by],
    [t("notifications.id"), told.id],
  ]);
  setText(part(".to"), n("notifications.recipients", told.recipients));
  keyed(part(".deliveries"), deliveries, ({ device, topic }) => `${device} ${topic}`, makeDelivery, updateDelivery);
  part(".more").hidden = !told.cursor || shown.limit >= MOST;
}

function makeDelivery({ device, topic }) {
  const who = device ? deviceLink(device) : h("code", { text: topic });
  who.title = topic;
  return h("li", {}, h("span", { class: "line" }, h("span", { class: "who" }, who), h("span", { class: "verdict" }), h("span", { class: "quiet when" })), h("p", { class: "quiet reason" }));
}

function updateDelivery(row, { state, reason, updated }) {
  const part = (name) => row.querySelector(name);
  drawState(part(".verdict"), state);
  setTime(part(".when"), updated, t("common.ago"));
  setText(part(".reason"), reason ? tOr("notifications.reason.", reason) : "");
}

// The alarms of this device that are open.

import { get, post } from "../core/api.js";
import { h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { button } from "../core/frame.js";
import { drawState } from "../core/states.js";
import { t } from "../core/texts.js";
import { element, only } from "./this.js";

const SHOWN = 20; // the newest
let mayOperate = false;

export const alarms = new Refresher(async () => {
  const { items } = await get(only("/api/alarms", { state: "open", limit: SHOWN }));
  element("alarms").hidden = items.length === 0;
  keyed(element("alarms-list"), items, ({ id }) => id, make, update);
});

export function start(role) {
  mayOperate = role === "operate" || role === "admin";
  element("alarms-all").href = only("/alarms", { state: "all" });
}

function make({ id, rule }) {
  const acknowledge = button(
    t("device.alarm.acknowledge"),
    t("device.alarm.acknowledge_this", { id }),
    () => post(`/api/alarms/${id}/acknowledge`),
    alarms,
    { done: t("device.alarm.acknowledged") },
  );
  return h(
    "li",
    {},
    h(
      "div",
      { class: "line" },
      h("span", { class: "verdict" }),
      h("span", { class: "id", text: rule, title: rule }),
      h("span", { class: "quiet when" }),
      mayOperate ? h("span", { class: "buttons" }, acknowledge) : null,
    ),
    h("p", { class: "detail" }),
  );
}

function update(row, alarm) {
  const part = (name) => row.querySelector(name);
  drawState(part(".verdict"), alarm.severity);
  setTime(part(".when"), alarm.raised, t("common.ago"));
  const by = { summary: alarm.summary, who: alarm.acknowledged_by };
  setText(part(".detail"), alarm.acknowledged ? t("device.alarm.by", by) : alarm.summary);
  if (mayOperate) part(".buttons").hidden = Boolean(alarm.acknowledged);
}

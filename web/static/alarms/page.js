// The page of the alarms: what is open, or was, the newest first, and what operators say to it.

import { post, serverNow } from "../core/api.js";
import { h, setDue, setText, setTime } from "../core/dom.js";
import { chosen } from "../core/filters.js";
import { button, start } from "../core/frame.js";
import { List } from "../core/list.js";
import { words } from "../core/nodes.js";
import { drawState } from "../core/states.js";
import { t } from "../core/texts.js";

const SILENCE = 3600; // seconds that the button gives
const WHY = { rule_changed: "its rule was changed", device_removed: "its device was removed" };

let mayOperate = false;

const list = new List("/api/alarms", {
  filters: ["state", "severity", "device"],
  wanted: () => ({ ...chosen, state: chosen.state === "all" ? "" : chosen.state || "open" }),
  keyOf: ({ id }) => id,
  make,
  update,
  none: () => (chosen.device || chosen.severity || chosen.state ? "No alarm matches." : "No alarm is open."),
});

function make({ id }) {
  const part = (name) => h("span", { class: name });
  const tell = (name, label, path, content) => {
    const made = button(label, `${label}: alarm ${id}`, () => post(`/api/alarms/${id}/${path}`, content), list.panel);
    made.classList.add(name);
    return made;
  };
  const buttons = [
    tell("acknowledge", "Acknowledge", "acknowledge"),
    tell("silence", "Silence 1 h", "silence", { seconds: SILENCE }),
    tell("wake", "End silence", "silence", { seconds: 0 }),
  ];
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row", class: "what" },
      h("span", { class: "summary" }),
      part("rule"),
      h("details", {}, h("summary"), h("p", { class: "members" })),
    ),
    h("td", { class: "severity" }, part("verdict")),
    h("td", { class: "device" }, h("a", { class: "serial" }), part("site")),
    h("td", { class: "time" }, part("age"), h("span", { class: "over" }, "over ", part("ended"))),
    h("td", { class: "state" }, part("verdict"), part("said"), part("quieted"), mayOperate ? h("span", { class: "buttons" }, ...buttons) : null),
  );
}

function update(row, alarm) {
  const part = (name) => row.querySelector(name);
  const isOpen = alarm.state === "open";
  const isSilent = isOpen && Date.parse(alarm.silenced_until) > serverNow();
  setText(part(".summary"), alarm.summary);
  setText(part(".rule"), alarm.rule);
  part(".rule").title = words(alarm.kind);
  drawMembers(part("details"), alarm);
  drawState(part(".severity .verdict"), alarm.severity);
  part(".serial").hidden = !alarm.device;
  setText(part(".serial"), alarm.device ?? "");
  part(".serial").href = `/alarms?${new URLSearchParams({ device: alarm.device ?? "", state: "all" })}`;
  part(".serial").title = `Only alarms of ${alarm.device}`;
  setText(part(".site"), alarm.site ?? "");
  setTime(part(".age"), alarm.raised, t("common.ago"));
  drawState(part(".state .verdict"), !isOpen ? "over" : alarm.acknowledged ? "acknowledged" : "open");
  setText(part(".said"), !isOpen ? (WHY[alarm.cleared_why] ?? "") : alarm.acknowledged ? `by ${alarm.acknowledged_by}` : "");
  setDue(part(".quieted"), isSilent ? Date.parse(alarm.silenced_until) : null, t("alarms.silenced_until"));
  part(".over").hidden = isOpen;
  setTime(part(".ended"), alarm.cleared, t("common.ago"));
  if (!mayOperate) return;
  part(".buttons").hidden = !isOpen;
  part(".acknowledge").hidden = Boolean(alarm.acknowledged);
  part(".silence").hidden = isSilent;
  part(".wake").hidden = !isSilent;
}

function drawMembers(details, { count, members }) {
  details.hidden = count < 2;
  setText(details.querySelector("summary"), `${count.toLocaleString()} devices`);
  const others = count > members.length ? ` and ${(count - members.length).toLocaleString()} more` : "";
  setText(details.querySelector(".members"), members.join(", ") + others);
}

start({
  panels: [list.panel],
  often: [list.panel],
  events: { alarm: () => list.onChange() },
  ready: (role) => {
    mayOperate = role === "operate" || role === "admin";
    list.start();
  },
});

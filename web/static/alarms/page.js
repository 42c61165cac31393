// The page of the alarms: what is open, or was, the newest first, what operators say to it, and the rules of it.

import { get, post, serverNow } from "../core/api.js";
import { detail, deviceLink, openLink, startDetail } from "../core/detail.js";
import { h, keyed, Refresher, setDue, setText, setTime } from "../core/dom.js";
import { chosen, isNarrowed } from "../core/filters.js";
import { button, refresh, start } from "../core/frame.js";
import { List } from "../core/list.js";
import { startParts } from "../core/parts.js";
import { drawState } from "../core/states.js";
import { t, tOr } from "../core/texts.js";
import { alarmDetail } from "./alarm.js";
import { ruleDetail } from "./rule.js";
import { rules, startRules } from "./rules.js";

const SILENCE = 3600; // seconds that the button gives
const MOST_SITES = 200; // names that are offered

let mayOperate = false;

const list = new List("/api/alarms", {
  filters: ["state", "severity", "rule", "site", "device"],
  wanted: () => ({ ...chosen, state: chosen.state === "all" ? "" : chosen.state || "open" }),
  keyOf: ({ id }) => id,
  make,
  update,
  none: () => (isNarrowed() ? t("alarms.no_match") : t("alarms.none")),
});

const sites = new Refresher(async () => {
  const { items } = await get(`/api/sites?limit=${MOST_SITES}`);
  const named = items.filter(({ site }) => site);
  keyed(document.getElementById("site-names"), named, ({ site }) => site, ({ site }) => h("option", { value: site }), () => {});
});

const looks = { request: () => refresh(list.panel, detail) };

function make({ id, device }) {
  const part = (name) => h("span", { class: name });
  const tell = (name, path, content, done) => {
    const told = () => post(`/api/alarms/${id}/${path}`, content);
    const made = button(t(`alarms.do.${name}`), t(`alarms.this.${name}`, { id }), told, looks, { done });
    made.classList.add(name);
    return made;
  };
  const buttons = [
    tell("acknowledge", "acknowledge", undefined, t("alarms.done.acknowledge")),
    tell("silence", "silence", { seconds: SILENCE }, t("alarms.done.silence")),
    tell("wake", "silence", { seconds: 0 }, t("alarms.done.wake")),
  ];
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "what" }, openLink("alarm", id, part("summary")), part("rule")),
    h("td", { class: "severity" }, part("verdict")),
    h("td", { class: "device" }, device ? deviceLink(device) : null, part("site")),
    h("td", { class: "time" }, part("age"), h("span", { class: "over" })),
    h("td", { class: "state" }, part("verdict"), part("said"), part("quieted"), mayOperate ? h("span", { class: "buttons" }, ...buttons) : null),
  );
}

function update(row, alarm) {
  const part = (name) => row.querySelector(name);
  const isOpen = alarm.state === "open";
  const isSilent = isOpen && Date.parse(alarm.silenced_until) > serverNow();
  setText(part(".summary"), alarm.summary);
  setText(part(".rule"), alarm.rule);
  part(".rule").title = tOr("alarms.kind.", alarm.kind);
  drawState(part(".severity .verdict"), alarm.severity);
  setText(part(".site"), alarm.site ?? "");
  setTime(part(".age"), alarm.raised, t("common.ago"));
  drawState(part(".state .verdict"), !isOpen ? "over" : alarm.acknowledged ? "acknowledged" : "open");
  setText(part(".said"), saidOf(alarm, isOpen));
  setDue(part(".quieted"), isSilent ? Date.parse(alarm.silenced_until) : null, t("alarms.silenced_until"));
  part(".over").hidden = isOpen;
  setTime(part(".over"), alarm.cleared, t("alarms.over_ago"));
  if (!mayOperate) return;
  part(".buttons").hidden = !isOpen;
  part(".acknowledge").hidden = Boolean(alarm.acknowledged);
  part(".silence").hidden = isSilent;
  part(".wake").hidden = !isSilent;
}

function saidOf({ cleared_why: why, acknowledged, acknowledged_by: who }, isOpen) {
  if (!isOpen) return why && why !== "over" ? tOr("alarms.why.", why) : "";
  return acknowledged ? t("common.by", { who }) : "";
}

start({
  panels: [list.panel, rules, sites, detail],
  often: [list.panel],
  events: {
    alarm: ({ id }) => {
      list.onChange();
      if (location.hash === `#alarm/${id}`) detail.request();
    },
  },
  ready: (role) => {
    mayOperate = role === "operate" || role === "admin";
    startParts();
    startRules(role);
    startDetail({ alarm: alarmDetail(mayOperate, looks), rule: ruleDetail(mayOperate, { request: () => refresh(rules, detail, list.panel) }) });
    list.start();
  },
});

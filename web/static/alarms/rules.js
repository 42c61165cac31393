// The rules of alarms: a table of them, and each in words.

import { get } from "../core/api.js";
import { openLink } from "../core/detail.js";
import { h, keyed, Refresher, setText } from "../core/dom.js";
import { number } from "../core/numbers.js";
import { drawState } from "../core/states.js";
import { n, t, tOr } from "../core/texts.js";

const MOST = 1000; // as many as a server has

const element = (id) => document.getElementById(id);

export const rules = new Refresher(async () => {
  const { items } = await get(`/api/alarm-rules?limit=${MOST}`);
  keyed(element("rules-list"), items, ({ name }) => name, make, update);
  keyed(element("rule-names"), items, ({ name }) => name, ({ name }) => h("option", { value: name }), () => {});
});

export function startRules(role) {
  element("rule-new").hidden = role !== "operate" && role !== "admin";
}

function make({ name }) {
  const part = (className) => h("span", { class: className });
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "what" }, openLink("rule", name, name), part("said")),
    h("td", { class: "condition" }),
    h("td", { class: "about-whom" }),
    h("td", { class: "severity" }, part("verdict")),
    h("td", { class: "origin" }, part("from"), part("off")),
  );
}

function update(row, rule) {
  const part = (name) => row.querySelector(name);
  setText(part(".said"), rule.description);
  setText(part(".condition"), conditionOf(rule));
  setText(part(".about-whom"), whomOf(rule));
  drawState(part(".severity .verdict"), rule.severity);
  setText(part(".from"), t(`alarms.origin_is.${rule.origin}`));
  setText(part(".off"), rule.enabled ? "" : t("alarms.off"));
  row.classList.toggle("disabled", !rule.enabled);
}

/** When a rule raises an alarm, in words. */
export function conditionOf(rule) {
  const told = [rule.metric ? t("alarms.of_metric", { kind: tOr("alarms.kind.", rule.kind), metric: rule.metric }) : tOr("alarms.kind.", rule.kind)];
  if (rule.over !== null) told.push(t("alarms.over_limit", { limit: number(rule.over, 6) }));
  if (rule.under !== null) told.push(t("alarms.under_limit", { limit: number(rule.under, 6) }));
  if (rule.lasts) told.push(t("alarms.for_seconds", { time: secondsText(rule.lasts) }));
  return told.join(" ");
}

/** What a rule is about, in words. */
export function whomOf({ site, device_kind: kind, type, group, devices, subject }) {
  const told = [
    site && t("alarms.at_site", { site }),
    kind && tOr("states.", kind),
    type,
    group && t("alarms.of_group", { group }),
    devices.length > 3 ? n("alarms.devices", devices.length) : devices.join(", "),
    subject,
  ];
  return told.filter(Boolean).join(", ") || t("alarms.everything");
}

/** Seconds as people say them. */
export function secondsText(seconds) {
  if (seconds >= 60 && seconds % 60 === 0) return t("common.minutes", { count: number(seconds / 60) });
  return t("common.seconds", { count: number(seconds) });
}

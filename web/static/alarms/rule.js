// One rule of alarms: what it says, the form to change it, and the form for a new one.

import { get, patch, post, remove } from "../core/api.js";
import { drawFacts, factList, moment } from "../core/detail.js";
import { h, setText } from "../core/dom.js";
import { button, tell } from "../core/frame.js";
import { t, tOr } from "../core/texts.js";
import { conditionOf, whomOf } from "./rules.js";

const NEW = "+";
/** By name as they were told last: what a form is compared with. */
const known = new Map();
const DEVICES = ["site", "device_kind", "type", "group", "devices"];
const JUDGED = [...DEVICES, "clear_after"];
const FIGURE = ["over", "hysteresis", "subject", "clear_after"];
/** The fields that mean something to a kind of rule, besides those that all have; the server refuses the others. */
const FIELDS_OF = {
  metric: [...JUDGED, "metric", "over", "under", "hysteresis"],
  offline_for: [...DEVICES, "min_group", "group_wait"],
  flapping: JUDGED,
  anomaly: [...JUDGED, "metric"],
  dead_letters: [...FIGURE, "window"],
  quarantine: FIGURE,
  database_lag: FIGURE,
  broker_link: FIGURE,
  broker_dropped: [...FIGURE, "window"],
  queue_depth: FIGURE,
  certificate_expiry: ["hysteresis", "subject", "clear_after", "under"],
};
const NUMBERS = ["over", "under", "hysteresis", "lasts", "clear_after", "window", "min_group", "group_wait"];
const CHOICES = {
  severity: ["info", "warning", "critical"],
  device_kind: ["", "raspberry_pi", "datalogger", "gateway", "sensor", "controller", "other"],
};
/** In the order in which they stand in the form. */
const EVERY = ["description", "severity", "metric", "over", "under", "hysteresis", "lasts", "clear_after", "window", ...DEVICES, "subject", "min_group", "group_wait"];
const EVERYWHERE = ["description", "severity", "lasts"];

/** The detail of rules; `looks` are asked to look again after each action. */
export const ruleDetail = (mayOperate, looks) => ({
  load,
  title: ({ name }) => name || t("alarms.rule_new"),
  make: (rule) => make(rule, mayOperate, looks),
  update,
});

async function load(name) {
  if (name === NEW) return { name: "", kind: "metric", severity: "warning", devices: [] };
  const { items } = await get("/api/alarm-rules?limit=1000");
  const found = items.find((rule) => rule.name === name) ?? null;
  if (found) known.set(name, found);
  return found;
}

function make(rule, mayOperate, looks) {
  const isNew = !rule.name;
  const mayChange = mayOperate && rule.origin !== "configuration";
  return h(
    "div",
    {},
    h("p", { class: "note from-configuration", text: t("alarms.configured"), hidden: rule.origin !== "configuration" }),
    isNew ? null : factList(),
    mayChange && !isNew ? orders(rule, looks) : null,
    isNew || !mayOperate ? null : h("p", { class: "note" }, h("a", { href: `/alarms?${new URLSearchParams({ rule: rule.name, state: "all" })}`, text: t("alarms.of_rule") })),
    mayChange ? form(rule, looks) : null,
  );
}

function orders({ name }, looks) {
  const path = `/api/alarm-rules/${encodeURIComponent(name)}`;
  const order = (key, action, more) => {
    const made = button(t(`alarms.do.${key}`), t(`alarms.this.${key}`, { id: name }), action, looks, more);
    made.className = `plain ${key}`;
    return made;
  };
  return h(
    "p",
    { class: "buttons" },
    order("enable", () => patch(path, { enabled: true }), { done: t("alarms.done.enable", { name }) }),
    order("disable", () => patch(path, { enabled: false }), { done: t("alarms.done.disable", { name }), confirm: t("alarms.disable_ask", { name }) }),
    order("drop", () => drop(path, name), { done: t("alarms.done.drop", { name }), confirm: t("alarms.drop_ask", { name }) }),
  );
}

async function drop(path, name) {
  await remove(path);
  location.hash = "#rules";
}

function update(body, rule) {
  if (!rule.name) return;
  const part = (name) => body.querySelector(name);
  drawFacts(part("dl"), [
    [t("alarms.description"), rule.description],
    [t("alarms.condition"), conditionOf(rule)],
    [t("alarms.about"), whomOf(rule)],
    [t("alarms.severity"), tOr("states.", rule.severity)],
    [t("alarms.channels"), rule.send === null ? t("alarms.channels_usual") : rule.send.join(", ") || t("alarms.channels_none")],
    [t("alarms.enabled"), rule.enabled ? t("alarms.on") : t("alarms.off")],
    [t("alarms.origin"), t(`alarms.origin_is.${rule.origin}`)],
    [t("alarms.changed"), moment(rule.changed)],
    [t("alarms.changed_by"), rule.changed_by],
  ]);
  if (!part(".enable")) return;
  part(".enable").hidden = rule.enabled;
  part(".disable").hidden = !rule.enabled;
  part(".drop").hidden = rule.origin !== "api";
}

function form(rule, looks) {
  const isNew = !rule.name;
  const kind = h("select", { name: "kind", onchange: () => fit() }, ...Object.keys(FIELDS_OF).map((one) => h("option", { value: one, text: tOr("alarms.kind.", one) })));
  kind.value = rule.kind;
  const named = isNew
    ? [labelled(t("alarms.rule_name"), h("input", { name: "name", required: true, maxlength: 64, pattern: "[a-z0-9][a-z0-9_\\-]*", title: t("alarms.rule_name_form"), autocomplete: "off", spellcheck: "false" })), labelled(t("alarms.kind_is"), kind)]
    : [];
  const made = h(
    "form",
    { class: "form rule-form", "aria-label": isNew ? t("alarms.rule_new") : t("alarms.change") },
    ...named,
    ...EVERY.map((name) => fieldOf(name, rule)),
    h("p", { class: "problem whole", role: "alert" }),
    h("p", { class: "whole" }, h("button", { type: "submit", class: "go", text: isNew ? t("alarms.make") : t("alarms.save") })),
  );
  const fit = () => {
    for (const label of made.querySelectorAll("[data-field]")) {
      label.hidden = ![...EVERYWHERE, ...FIELDS_OF[kind.value]].includes(label.dataset.field);
    }
  };
  fit();
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    await save(made, isNew ? null : known.get(rule.name), looks);
  });
  return isNew ? made : h("details", { class: "changing" }, h("summary", { text: t("alarms.change") }), made);
}

const labelled = (text, field) => h("label", {}, text, field);

function fieldOf(name, rule) {
  const value = rule[name] ?? "";
  const label = labelled(t(`alarms.field.${name}`), inputOf(name));
  const field = label.lastElementChild;
  field.name = name;
  field.value = Array.isArray(value) ? value.join(" ") : value;
  label.dataset.field = name;
  if (name === "description" || name === "devices") label.classList.add("whole");
  return label;
}

function inputOf(name) {
  if (name in CHOICES) return h("select", {}, ...CHOICES[name].map((one) => h("option", { value: one, text: one ? tOr("states.", one) : t("alarms.any") })));
  if (NUMBERS.includes(name)) return h("input", { type: "number", step: "any" });
  return h("input", { maxlength: name === "devices" ? 10000 : 128, autocomplete: "off" });
}

/** What stands in a field, as the API wants it; null where it is empty. */
function valueOf({ name, value }) {
  const text = value.trim();
  if (name === "devices") return text.split(/[\s,]+/).filter(Boolean);
  if (!text) return null;
  return NUMBERS.includes(name) ? Number(text) : text;
}

async function save(form, old, looks) {
  const fields = [...form.elements].filter(({ name, type }) => name && type !== "submit");
  const given = fields.filter((field) => !field.closest("[hidden]")).map((field) => [field.name, valueOf(field)]);
  const changed = old ? given.filter(([name, value]) => isOther(value, old[name])) : given.filter(([, value]) => value !== null && value.length !== 0);
  const body = Object.fromEntries(changed);
  const problem = form.querySelector(".problem");
  setText(problem, "");
  if (changed.length === 0) return setText(problem, t("alarms.nothing_changed"));
  try {
    if (old) await patch(`/api/alarm-rules/${encodeURIComponent(old.name)}`, body);
    else await post("/api/alarm-rules", body);
  } catch (error) {
    return setText(problem, error.message);
  }
  tell(old ? t("alarms.done.change", { name: old.name }) : t("alarms.done.make", { name: body.name }), true);
  looks.request();
  if (!old) location.hash = `#rule/${body.name}`;
}

const isOther = (value, old) => JSON.stringify(value ?? "") !== JSON.stringify(old ?? "");

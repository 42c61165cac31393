// The groups: who belongs together, by a rule, by hand, or by what a device says of itself.

import { get, patch, post, remove } from "../core/api.js";
import { h, keyed, setText } from "../core/dom.js";
import { button } from "../core/frame.js";
import { List } from "../core/list.js";
import { number } from "../core/numbers.js";
import { n, t } from "../core/texts.js";
import { onSubmit } from "./form.js";
import { readSerials } from "./lines.js";
import { mayAs } from "./roles.js";
import { deviceAddress } from "./words.js";

const SHOWN = 100; // devices of a group
const RULE = ["site", "kind", "type", "serial", "label"];
const element = (id) => document.getElementById(id);
const pathOf = (name) => `/api/groups/${encodeURIComponent(name)}`;
let mayChange = false;
let changed = ""; // the group in the form; empty for a new one

const list = new List("/api/groups", {
  filters: [],
  wanted: () => ({}),
  keyOf: ({ name }) => name,
  make,
  update,
  none: () => t("settings.groups.none"),
});

export const panels = [list.panel];
export const often = [list.panel];
export const events = { group: () => list.onChange() };

export function ready(role) {
  mayChange = mayAs(role, "operate");
  element("begin").hidden = !mayChange;
  list.start();
  onSubmit("edit", "edit-problem", save);
  element("edit-cancel").addEventListener("click", () => fill(null));
}

async function save() {
  const name = element("edit-name").value.trim();
  const fields = {
    description: element("edit-description").value.trim(),
    rule: readRule(),
    members: readSerials(element("edit-members").value),
  };
  if (changed) await patch(pathOf(changed), fields);
  else await post("/api/groups", { name, ...fields });
  fill(null);
  list.panel.request();
  return t("settings.groups.saved", { name });
}

/** The rule as it is written in the form, null for none. Throws for labels that are none. */
function readRule() {
  const rule = {};
  for (const name of RULE) if (element(`rule-${name}`).value.trim()) rule[name] = element(`rule-${name}`).value.trim();
  const pairs = element("rule-labels").value.split(",").map((pair) => pair.trim()).filter(Boolean);
  for (const pair of pairs) if (!/^[^=]+=[^=]+$/.test(pair)) throw new Error(t("settings.groups.label_form", { text: pair }));
  if (pairs.length) rule.labels = Object.fromEntries(pairs.map((pair) => pair.split("=").map((half) => half.trim())));
  return Object.keys(rule).length ? rule : null;
}

/** Fill the form with a group to be changed; null: with nothing, for a new one. */
function fill(group) {
  changed = group?.name ?? "";
  element("edit").reset();
  setText(element("edit-problem"), "");
  setText(element("begin-name"), group ? t("settings.groups.change", { name: group.name }) : t("settings.groups.make"));
  element("edit-name").readOnly = Boolean(group);
  element("edit-cancel").hidden = !group;
  element("begin").open = Boolean(group);
  if (!group) return;
  element("edit-name").value = group.name;
  element("edit-description").value = group.description;
  element("edit-members").value = group.members.join("\n");
  for (const name of RULE) element(`rule-${name}`).value = group.rule?.[name] ?? "";
  element("rule-labels").value = labelsOf(group.rule);
  element("edit-description").focus();
}

const labelsOf = (rule) => Object.entries(rule?.labels ?? {}).map((pair) => pair.join("=")).join(", ");

/** A rule in words, such as `site plant-*, zone=north`. */
function ruleWords(rule) {
  if (!rule) return "";
  const words = RULE.filter((name) => rule[name]).map((name) => `${t(`settings.rule.${name}`)} ${name === "kind" ? t(`states.${rule.kind}`) : rule[name]}`);
  return [...words, labelsOf(rule)].filter(Boolean).join(", ");
}

function make({ name }) {
  const drop = button(t("settings.delete"), t("settings.groups.delete", { name }), () => remove(pathOf(name)), list.panel, {
    confirm: t("settings.groups.delete_ask", { name }),
    done: t("settings.groups.deleted", { name }),
  });
  drop.classList.add("danger");
  const buttons = [button(t("settings.change"), t("settings.groups.change", { name }), async () => fill(await get(pathOf(name)))), drop];
  const row = h(
    "li",
    { class: "roll" },
    h("div", { class: "line" }, h("h3", { text: name }), h("span", { class: "description quiet" }), h("span", { class: "buttons" }, ...(mayChange ? buttons : []))),
    h("p", { class: "rule" }),
    h(
      "details",
      { class: "who", ontoggle: () => row.querySelector(".who").open && look(row, name) },
      h("summary", { text: t("settings.groups.who") }),
      h("p", { class: "how-many" }),
      h("ul", { class: "serials" }),
      h("p", { class: "more" }, h("a", { href: `/?${new URLSearchParams({ group: name })}`, text: t("settings.groups.in_fleet") })),
    ),
  );
  return row;
}

function update(row, { name, description, rule, members, declared }) {
  setText(row.querySelector(".description"), description);
  row.querySelector(".buttons").hidden = !declared;
  const told = [];
  if (rule) told.push(t("settings.groups.by_rule", { rule: ruleWords(rule) }));
  if (members.length) told.push(n("settings.groups.by_hand", members.length));
  if (!declared) told.push(t("settings.groups.by_devices"));
  setText(row.querySelector(".rule"), told.join(" · ") || t("settings.groups.nobody"));
  if (row.querySelector(".who").open) look(row, name);
}

async function look(row, name) {
  const found = await Promise.all([get(pathOf(name)), get(`${pathOf(name)}/devices?limit=${SHOWN}`)]).catch(() => null);
  if (!found) return; // deleted meanwhile
  const [{ devices, present }, { items }] = found;
  setText(row.querySelector(".how-many"), n("settings.groups.present", devices, { present: number(present) }));
  keyed(row.querySelector(".serials"), items, ({ serial }) => serial, makeEntry, (entry, device) => {
    setText(entry.querySelector(".quiet"), [device.label, t(`states.${device.presence}`)].filter(Boolean).join(" · "));
  });
}

const makeEntry = ({ serial }) =>
  h("li", {}, h("a", { class: "serial", href: deviceAddress(serial), text: serial }), " ", h("span", { class: "quiet" }));

// The rosters: who is expected at a site, against who is there.

import { get, put, remove } from "../core/api.js";
import { h, keyed, Refresher, setText } from "../core/dom.js";
import { button } from "../core/frame.js";
import { number } from "../core/numbers.js";
import { n, t } from "../core/texts.js";
import { onSubmit } from "./form.js";
import { readSerials } from "./lines.js";
import { mayAs } from "./roles.js";
import { deviceAddress, drawWord, wordOf } from "./words.js";

const STATES = ["silent", "unknown", "elsewhere", "undeclared", "healthy"]; // what wants a look first
const SHOWN = 200; // devices of one state
const element = (id) => document.getElementById(id);
const pathOf = (site) => `/api/rosters/${encodeURIComponent(site)}`;
let mayChange = false;

const rolls = new Refresher(async () => {
  const { items } = await get("/api/rosters");
  element("none").hidden = items.length > 0;
  keyed(element("rolls"), items, ({ site }) => site, make, update);
});

export const panels = [rolls];
export const often = [rolls];
export const events = { group: () => rolls.request() };

export function ready(role) {
  mayChange = mayAs(role, "operate");
  element("begin").hidden = !mayChange;
  onSubmit("edit", "edit-problem", save);
}

async function save() {
  const site = element("edit-site").value.trim();
  if (!site) throw new Error(t("settings.rosters.no_site"));
  const serials = readSerials(element("edit-serials").value);
  if (serials.length === 0) throw new Error(t("settings.rosters.no_serials"));
  await put(pathOf(site), { serials });
  element("edit").reset();
  element("begin").open = false;
  rolls.request();
  return n("settings.rosters.saved", serials.length, { site });
}

/** Fill the form with a roster as it is declared. */
async function change(site) {
  const roster = await get(pathOf(site));
  const declared = STATES.filter((state) => state !== "undeclared").flatMap((state) => roster[state].map(({ serial }) => serial));
  element("edit-site").value = site;
  element("edit-serials").value = declared.sort().join("\n");
  setText(element("edit-problem"), "");
  element("begin").open = true;
  element("edit-serials").focus();
}

function make({ site }) {
  const drop = button(t("settings.delete"), t("settings.rosters.delete", { site }), () => remove(pathOf(site)), rolls, {
    confirm: t("settings.rosters.delete_ask", { site }),
    done: t("settings.rosters.deleted", { site }),
  });
  drop.classList.add("danger");
  const buttons = mayChange ? [button(t("settings.change"), t("settings.rosters.change", { site }), () => change(site)), drop] : [];
  const lists = h("div", { class: "lists" });
  const row = h(
    "li",
    { class: "roll" },
    h(
      "div",
      { class: "line" },
      h("h3", { text: site }),
      h("span", { class: "declared quiet" }),
      h("span", { class: "buttons" }, ...buttons),
    ),
    h("p", { class: "counts-of" }),
    h("p", { class: "source quiet", text: t("settings.rosters.configured") }),
    h("details", { class: "who", ontoggle: () => row.querySelector(".who").open && look(row, site) }, h("summary", { text: t("settings.rosters.who") }), lists),
  );
  return row;
}

function update(row, { site, source, declared, counts }) {
  const fixed = source === "configuration";
  setText(row.querySelector(".declared"), n("settings.rosters.declared", declared));
  row.querySelector(".source").hidden = !fixed;
  row.querySelector(".buttons").hidden = fixed;
  const told = STATES.filter((state) => counts[state]).reverse();
  keyed(row.querySelector(".counts-of"), told, (state) => state, () => h("span", { class: "verdict" }), (mark, state) => {
    drawWord(mark, state);
    setText(mark, `${number(counts[state])} ${wordOf(state)}`);
  });
  if (row.querySelector(".who").open) look(row, site);
}

async function look(row, site) {
  const roster = await get(pathOf(site)).catch(() => null);
  if (!roster) return; // deleted meanwhile: the list goes with the next look
  const told = STATES.filter((state) => roster[state].length);
  keyed(row.querySelector(".lists"), told, (state) => state, makeState, (part, state) => {
    setText(part.querySelector("h4"), `${wordOf(state)}: ${number(roster[state].length)}`);
    setText(part.querySelector(".quiet"), t(`settings.roll.${state}`));
    keyed(part.querySelector("ul"), roster[state].slice(0, SHOWN), ({ serial }) => serial, makeEntry, updateEntry);
    const more = roster[state].length - SHOWN;
    setText(part.querySelector(".more"), more > 0 ? n("settings.rosters.more", more) : "");
  });
}

const makeState = () => h("div", {}, h("h4"), h("p", { class: "quiet" }), h("ul", { class: "serials" }), h("p", { class: "more quiet" }));
const makeEntry = ({ serial }) => h("li", {}, h("a", { class: "serial" , text: serial }), " ", h("span", { class: "quiet" }));

function updateEntry(entry, { serial, presence, label, site }) {
  const link = entry.querySelector("a");
  // Who was never heard of has no page.
  if (presence) link.href = deviceAddress(serial);
  setText(entry.querySelector(".quiet"), presence ? [label, t(`states.${presence}`), site].filter(Boolean).join(" · ") : t("settings.rosters.never"));
}

// What is chosen: filters and order. It stands in the address, so that a reload and a link show the same.

import { h, keyed, setText } from "../core/dom.js";
import { t } from "../core/texts.js";

/** What the address may say, and what of it means something. */
const WORDS = {
  presence: ["online", "offline", "unknown"],
  kind: ["raspberry_pi", "datalogger", "gateway", "sensor", "controller", "other"],
  flapping: ["true"],
  quarantined: ["true"],
  no_site: ["true"],
  sort: ["label", "presence", "since", "last_seen", "kind", "site"],
  order: ["desc"],
};
const NAMES = ["q", "presence", "kind", "site", "no_site", "flapping", "quarantined", "type", "group", "label", "sort", "order"];
const ORDER = ["sort", "order"];
/** Filters without a control of their own: each is a word above the table that can be taken away. */
const CHIPS = ["site", "no_site", "type", "group", "label"];
const TYPING = 200; // ms

const element = (id) => document.getElementById(id);
const listeners = [];

/** By name what is chosen; what is not is missing. */
export const chosen = {};

/** Whether anything narrows the list. */
export const isNarrowed = () => NAMES.some((name) => !ORDER.includes(name) && chosen[name]);

/** Call `listener` whenever something else is chosen. */
export const onChoice = (listener) => listeners.push(listener);

/** Choose; an empty value chooses nothing. */
export function choose(change) {
  take({ ...chosen, ...change });
  const query = new URLSearchParams(chosen).toString();
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
  draw();
  for (const listener of listeners) listener();
}

function take(asked) {
  for (const name of NAMES) {
    const value = asked[name] ?? "";
    if (value && (WORDS[name]?.includes(value) ?? true)) chosen[name] = value;
    else delete chosen[name];
  }
  if (chosen.site) delete chosen.no_site;
}

export function startChoice() {
  take(Object.fromEntries(new URLSearchParams(location.search)));
  let typing = 0;
  element("q").value = chosen.q ?? "";
  element("q").addEventListener("input", ({ target }) => {
    clearTimeout(typing);
    typing = setTimeout(() => choose({ q: target.value.trim() }), TYPING);
  });
  element("filters").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    choose({ q: element("q").value.trim() });
  });
  element("kind").addEventListener("change", ({ target }) => choose({ kind: target.value }));
  for (const name of ["flapping", "quarantined"]) {
    element(name).addEventListener("click", () => choose({ [name]: chosen[name] ? "" : "true" }));
  }
  draw();
}

function draw() {
  element("kind").value = chosen.kind ?? "";
  for (const name of ["flapping", "quarantined"]) element(name).setAttribute("aria-pressed", String(Boolean(chosen[name])));
  keyed(element("chips"), CHIPS.filter((name) => chosen[name]), (name) => name, makeChip, (chip, name) => {
    const words = name === "no_site" ? t("fleet.no_site") : t(`fleet.chip.${name}`, { value: chosen[name] });
    setText(chip.firstChild, words);
    chip.lastChild.setAttribute("aria-label", t("fleet.chip_away", { filter: words }));
  });
}

function makeChip(name) {
  const away = ({ detail }) => {
    choose({ [name]: "" });
    if (detail === 0) element("q").focus(); // whoever walks by keys would lose the place with the button
  };
  return h("li", { class: "chip" }, h("span"), h("button", { type: "button", class: "away", text: "×", onclick: away }));
}

// The audit log: who has changed what, who was refused, and what has failed, the newest first.

import { get } from "../core/api.js";
import { h, setMoment, setText } from "../core/dom.js";
import { chosen } from "../core/filters.js";
import { List } from "../core/list.js";
import { n, t } from "../core/texts.js";
import { drawWord } from "./words.js";

const FILTERS = ["who", "action", "outcome", "since", "until"];
const element = (id) => document.getElementById(id);

const list = new List("/api/audit", {
  filters: ["tab", ...FILTERS],
  wanted: () => ({ ...chosen, tab: "" }),
  keyOf: ({ id }) => id,
  make,
  update,
  none: () => t(FILTERS.some((name) => chosen[name]) ? "settings.audit.no_match" : "settings.audit.none"),
});

export const panels = [list.panel];
export const often = [list.panel];

export function ready() {
  list.start();
  element("action").addEventListener("focus", suggest, { once: true });
}

/** Put every action that changes something on the list of suggestions; the contract knows them. */
async function suggest() {
  const { paths } = await get("/api/openapi.json");
  const operations = Object.values(paths).flatMap((path) => Object.entries(path));
  const changes = operations.filter(([method]) => method !== "get").map(([, { operationId, summary }]) => [operationId, summary]);
  element("actions").replaceChildren(...changes.map(([value, label]) => h("option", { value, label })));
}

const filtered = (name, value) => `/settings?${new URLSearchParams({ tab: "audit", [name]: value })}`;

function make({ who, action, details }) {
  const part = (which) => h("span", { class: which });
  const known = Object.keys(details).length
    ? [h("details", { class: "known" }, h("summary", { text: t("settings.audit.details") }), h("pre", { text: JSON.stringify(details, null, 2) }))]
    : [];
  return h(
    "tr",
    {},
    h("td", { class: "time" }, part("at")),
    h("th", { scope: "row", class: "by-whom" }, who ? h("a", { href: filtered("who", who), text: who }) : part("nobody"), part("address")),
    h("td", { class: "what" }, h("a", { class: "action", href: filtered("action", action), text: action }), part("subject"), ...known),
    h("td", { class: "state" }, part("verdict"), part("status")),
  );
}

function update(row, { ts, who, address, subject, outcome, status, repeated }) {
  const part = (which) => row.querySelector(`.${which}`);
  setMoment(part("at"), ts);
  if (!who) setText(part("nobody"), t("settings.audit.nobody"));
  setText(part("address"), t("settings.audit.from", { address }));
  setText(part("subject"), subject ?? "");
  drawWord(part("verdict"), outcome);
  setText(part("status"), [status, repeated ? n("settings.audit.repeated", repeated) : ""].filter(Boolean).join(" · "));
}

// Who has asked to be let in: those who wait first, with what is known of them.

import { post, remove } from "../core/api.js";
import { h, setText, setTime, timeText } from "../core/dom.js";
import { button } from "../core/frame.js";
import { List } from "../core/list.js";
import { t, tOr } from "../core/texts.js";
import { mayAs } from "./roles.js";
import { deviceAddress, drawWord } from "./words.js";

let mayDecide = false;

const list = new List("/api/enrolments", {
  filters: [],
  wanted: () => ({}),
  keyOf: ({ serial }) => serial,
  make,
  update,
  none: () => t("settings.enrolment.none"),
});

export const panels = [list.panel];
export const often = [list.panel];
export const events = { enrolment: () => list.onChange() };

export function ready(role) {
  mayDecide = mayAs(role, "admin");
  list.start();
}

const WORDS = {
  approve: (device) => [t("settings.enrolment.approve"), "", t("settings.enrolment.approved", { device })],
  deny: (device) => [t("settings.enrolment.deny"), t("settings.enrolment.deny_ask", { device }), t("settings.enrolment.denied", { device })],
  revoke: (device) => [t("settings.revoke"), t("settings.enrolment.revoke_ask", { device }), t("settings.enrolment.revoked", { device })],
};
/** What may be decided of whom. */
const DECISIONS = { pending: ["approve", "deny"], approved: ["deny"], enrolled: ["revoke"], denied: ["approve"] };

function make({ serial }) {
  const path = `/api/enrolments/${encodeURIComponent(serial)}`;
  const doing = {
    // Who is let in is the one whom this row shows: another one may have asked for the same serial meanwhile.
    approve: () => post(`${path}/approve`, { request: row.dataset.request }),
    deny: () => post(`${path}/deny`),
    revoke: () => remove(path),
  };
  const decide = (decision) => {
    const [label, confirm, done] = WORDS[decision](serial);
    const made = button(label, `${label}: ${serial}`, doing[decision], list.panel, { confirm, done });
    made.dataset.decision = decision;
    made.classList.toggle("danger", decision !== "approve");
    return made;
  };
  const part = (which) => h("span", { class: which });
  const row = h(
    "tr",
    {},
    h("th", { scope: "row", class: "what" }, h("a", { class: "serial", href: deviceAddress(serial), text: serial }), part("host")),
    h("td", { class: "told" }, part("address"), part("mac")),
    h("td", { class: "state" }, part("verdict"), h("span", { class: "buttons" }, ...(mayDecide ? Object.keys(WORDS).map(decide) : []))),
    h("td", { class: "time" }, part("asked"), part("until"), part("by")),
  );
  return row;
}

function update(row, { state, hostname, mac_address, device_type, address, requested, enrolled, approved_until, changed_by, request }) {
  const part = (which) => row.querySelector(`.${which}`);
  row.dataset.request = request ?? "";
  row.classList.toggle("waits", state === "pending");
  setText(part("host"), [hostname, device_type && tOr("states.", device_type)].filter(Boolean).join(" · "));
  setText(part("address"), address ?? "–");
  setText(part("mac"), mac_address ?? "");
  drawWord(part("verdict"), state);
  for (const made of row.querySelectorAll("[data-decision]")) made.hidden = !DECISIONS[state].includes(made.dataset.decision);
  if (state === "enrolled") setTime(part("asked"), enrolled, t("settings.enrolment.since"));
  else setTime(part("asked"), requested, t("settings.enrolment.asked"));
  const waits = state === "approved" && approved_until;
  part("until").hidden = !waits;
  if (waits) setText(part("until"), t("settings.enrolment.until", { time: timeText(approved_until) }));
  setText(part("by"), changed_by && changed_by !== "device" ? t("common.by", { who: changed_by }) : "");
}

// Devices that wait to be let in.

import { get, post } from "../core/api.js";
import { h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { button } from "../core/frame.js";
import { t } from "../core/texts.js";

const SHOWN = 20;
const element = (id) => document.getElementById(id);
let mayLook = false;
let mayDecide = false;

export const waiting = new Refresher(async () => {
  if (!mayLook) return;
  // Those who wait come first.
  const { items } = await get(`/api/enrolments?limit=${SHOWN}`);
  const found = items.filter((enrolment) => enrolment.state === "pending");
  element("waiting").hidden = found.length === 0;
  setText(element("waiting-note"), found.length === SHOWN ? `the first ${SHOWN}` : "");
  keyed(element("waiting-list"), found, (enrolment) => enrolment.serial, make, update);
});

export function start(role) {
  mayLook = role === "operate" || role === "admin";
  mayDecide = role === "admin";
}

function make({ serial }) {
  const decide = (label, body) => {
    const path = `/api/enrolments/${encodeURIComponent(serial)}/${label.toLowerCase()}`;
    return button(label, `${label} ${serial}`, () => post(path, body && body()), waiting);
  };
  // Who is let in is the one whom this row shows: another one may have asked for the same serial meanwhile.
  const seen = () => ({ request: row.dataset.request });
  const row = h(
    "li",
    {},
    h(
      "div",
      { class: "line" },
      h("i", { class: "dot unknown" }),
      h("span", { class: "id", text: serial }),
      h("span", { class: "buttons" }, ...(mayDecide ? [decide("Approve", seen), decide("Deny")] : [])),
    ),
    h("p", { class: "detail quiet" }, h("span", { class: "who" }), " · ", h("span", { class: "when" })),
  );
  return row;
}

function update(row, { hostname, address, mac_address, requested, request }) {
  row.dataset.request = request ?? "";
  setTime(row.querySelector(".when"), requested, t("common.ago"));
  setText(row.querySelector(".who"), [hostname, address, mac_address].filter(Boolean).join(" · "));
}

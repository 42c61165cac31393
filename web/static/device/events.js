// What has happened to the device, page by page.

import { h, keyed, setMoment, setText } from "../core/dom.js";
import { Pager } from "../core/pager.js";
import { t, tOr } from "../core/texts.js";
import { valueText } from "./facts.js";
import { element, path } from "./this.js";

const pager = new Pager(path("/events"), { draw, wanted: () => ({ kind: element("events-kind").value }) });
export const events = pager.panel;

/** Something has happened. Later pages stand still for whoever reads them. */
export const onChange = () => pager.isFirst;

export function start() {
  pager.start();
  element("events-kind").addEventListener("change", () => pager.restart());
}

function draw(items) {
  element("events-none").hidden = items.length > 0;
  keyed(element("events-list"), items, ({ id }) => id, make, () => {});
  pager.drawFoot(items.length);
}

function make({ ts, kind, data }) {
  const when = h("span", { class: "quiet when" });
  setMoment(when, ts);
  const row = h(
    "li",
    {},
    h("div", { class: "line" }, h("span", { class: "id", text: tOr("device.event.", kind) }), when),
    h("p", { class: "detail quiet" }),
  );
  setText(row.querySelector(".detail"), said(kind, data));
  return row;
}

/** What an event tells, in words. */
function said(kind, data) {
  if (kind === "presence") return t("device.event_presence", { presence: tOr("states.", data.presence), reason: tOr("states.", data.reason) });
  return Object.entries(data)
    .filter(([, value]) => value !== null && value !== "")
    .map(([name, value]) => `${tOr("device.event_of.", name)}: ${typeof value === "string" ? tOr("states.", value) : valueText(value)}`)
    .join(" · ");
}

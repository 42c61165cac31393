// The codes that the device has scanned last.

import { get } from "../core/api.js";
import { flash, h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { t } from "../core/texts.js";
import { element, only } from "./this.js";

const SHOWN = 20; // the newest
let isFirst = true;

export const scans = new Refresher(async () => {
  const { items } = await get(only("/api/scans", { limit: SHOWN }));
  element("scans-none").hidden = items.length > 0;
  keyed(element("scans-list"), items, ({ scan_id: id }) => id, make, (row, scan) => {
    const isNew = !isFirst && !row.isConnected;
    update(row, scan);
    if (isNew) flash(row);
  });
  isFirst = false;
});

export function start() {
  element("scans-all").href = only("/scans");
}

function make({ code, symbology, scanner }) {
  const about = [symbology, scanner].filter(Boolean).join(" · ");
  return h(
    "li",
    {},
    h(
      "div",
      { class: "line" },
      h("code", { text: code, title: code }),
      h("span", { class: "quiet about-it", text: about }),
      h("span", { class: "verdict", "data-tone": "bad", text: t("device.scan.wrong"), hidden: true }),
      h("span", { class: "quiet when" }),
    ),
  );
}

function update(row, { valid, timestamp }) {
  row.querySelector(".verdict").hidden = valid !== false;
  setTime(row.querySelector(".when"), timestamp, t("common.ago"));
}

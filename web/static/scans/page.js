// The page of the scans: the newest first, of all devices or of one, of all codes or of one.

import { h, setText, setTime } from "../core/dom.js";
import { chosen } from "../core/filters.js";
import { start } from "../core/frame.js";
import { List } from "../core/list.js";
import { t } from "../core/texts.js";

const CHECKS = { true: ["right", "good"], false: ["wrong", "bad"], null: ["–", "none"] };
const CONTROLS = { "\t": "TAB", "\n": "LF", "\r": "CR", "\x04": "EOT", "\x1c": "FS", "\x1d": "GS", "\x1e": "RS", "\x1f": "US" };

const list = new List("/api/scans", {
  filters: ["code", "device"],
  keyOf: ({ device_id, scan_id }) => `${device_id} ${scan_id}`,
  make,
  update,
  none: () => (chosen.code || chosen.device ? "No scan matches." : "Nothing has been scanned yet."),
});

function make({ code }) {
  const part = (name) => h("span", { class: name });
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "code" }, ...readable(code)),
    h("td", { class: "symbology" }),
    h("td", { class: "check" }, part("verdict")),
    h("td", { class: "device" }, h("a", { class: "serial" }), part("scanner")),
    h("td", { class: "time" }, part("age"), part("clock")),
  );
}

function update(row, scan) {
  const part = (name) => row.querySelector(`.${name}`);
  setText(part("symbology"), scan.symbology || "–");
  const [verdict, tone] = CHECKS[scan.valid];
  setText(part("verdict"), verdict);
  part("verdict").dataset.tone = tone;
  setText(part("serial"), scan.device_id);
  part("serial").href = `/scans?${new URLSearchParams({ device: scan.device_id })}`;
  part("serial").title = `Only scans of ${scan.device_id}`;
  setText(part("scanner"), scan.scanner);
  setTime(part("age"), scan.timestamp, t("common.ago"));
  setText(part("clock"), scan.clock === "unsynced" ? "its clock was not set" : "");
}

/** A code with its separators seen: control characters by their names. */
function readable(code) {
  const seen = (character) => CONTROLS[character] ?? `0x${character.charCodeAt(0).toString(16)}`;
  // With a group in it, what splits is kept: every second part is a control character.
  return code
    .split(/([\x00-\x1f\x7f])/)
    .map((part, place) => (place % 2 ? h("span", { class: "control", text: seen(part) }) : part));
}

start({
  panels: [list.panel],
  often: [list.panel],
  events: { scan: () => list.onChange() },
  ready: () => list.start(),
});

// The page of the scans: the newest first, of all devices or of one, of all codes or of one, and each in full.

import { get } from "../core/api.js";
import { device, drawFacts, factList, moment, openLink, deviceLink, startDetail } from "../core/detail.js";
import { h, setText, setTime } from "../core/dom.js";
import { chosen, isNarrowed } from "../core/filters.js";
import { start } from "../core/frame.js";
import { List } from "../core/list.js";
import { t, tOr } from "../core/texts.js";

const MOST = 1000; // scans of one export
const TONES = { true: "good", false: "bad", null: "none" };
const CONTROLS = { "\t": "TAB", "\n": "LF", "\r": "CR", "\x04": "EOT", "\x1c": "FS", "\x1d": "GS", "\x1e": "RS", "\x1f": "US" };

const element = (id) => document.getElementById(id);
const checkText = (valid) => t(`scans.valid.${valid}`);

const list = new List("/api/scans", {
  filters: ["code", "device", "since", "until"],
  keyOf: ({ device_id, scan_id }) => `${device_id} ${scan_id}`,
  make,
  update,
  none: () => (isNarrowed() ? t("scans.no_match") : t("scans.none")),
  drawn: drawExport,
});

function make(scan) {
  const part = (name) => h("span", { class: name });
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "code" }, openLink("scan", keyOf(scan), ...readable(scan.code))),
    h("td", { class: "symbology" }),
    h("td", { class: "check" }, part("verdict")),
    h("td", { class: "device" }, deviceLink(scan.device_id), part("scanner")),
    h("td", { class: "time" }, part("age"), part("clock")),
  );
}

function update(row, scan) {
  const part = (name) => row.querySelector(`.${name}`);
  setText(part("symbology"), scan.symbology || "–");
  setText(part("verdict"), checkText(scan.valid));
  part("verdict").dataset.tone = TONES[scan.valid];
  setText(part("scanner"), scan.scanner);
  setTime(part("age"), scan.timestamp, t("common.ago"));
  setText(part("clock"), scan.clock === "unsynced" ? t("scans.clock_was_unset") : "");
}

/** What is chosen, as a file: the server answers with it as JSON. */
function drawExport() {
  const asked = Object.entries(chosen).filter(([, value]) => value);
  element("export").href = `/api/scans?${new URLSearchParams([...asked, ["limit", MOST]])}`;
}

/** A code with its separators seen: control characters by their names. */
function readable(code) {
  const seen = (character) => CONTROLS[character] ?? `0x${character.charCodeAt(0).toString(16)}`;
  // With a group in it, what splits is kept: every second part is a control character.
  return code
    .split(/([\x00-\x1f\x7f])/)
    .map((part, place) => (place % 2 ? h("span", { class: "control", text: seen(part) }) : part));
}

/** A scan is found again by its device, its time and its id. */
const keyOf = ({ device_id: serial, timestamp, scan_id: id }) => [serial, timestamp, id].join(" ");

async function load(key) {
  const [serial, since, ...rest] = key.split(" ");
  // Times are told in milliseconds and kept in microseconds.
  const until = new Date(Date.parse(since) + 1).toISOString();
  const { items } = await get(`/api/scans?${new URLSearchParams({ device: serial, since, until, limit: MOST })}`);
  return items.find(({ scan_id: id }) => id === rest.join(" ")) ?? null;
}

function makeDetail({ code }) {
  return h("div", {}, h("p", { class: "note code whole" }, ...readable(code)), h("p", { class: "note wrong", hidden: true }), factList());
}

function updateDetail(body, scan) {
  const wrong = body.querySelector(".wrong");
  wrong.hidden = scan.valid !== false;
  setText(wrong, t("scans.wrong_means"));
  drawFacts(body.querySelector("dl"), [
    [t("scans.symbology"), scan.symbology],
    [t("scans.check"), checkText(scan.valid)],
    [t("scans.device"), device(scan.device_id)],
    [t("scans.scanner"), scan.scanner],
    [t("scans.scanned"), moment(scan.timestamp)],
    [t("scans.received"), moment(scan.received)],
    [t("scans.clock"), scan.clock && tOr("scans.clock_is.", scan.clock)],
    [t("scans.id"), scan.scan_id],
  ]);
}

start({
  panels: [list.panel],
  often: [list.panel],
  events: { scan: () => list.onChange() },
  ready: () => {
    list.start();
    startDetail({ scan: { load, title: ({ code }) => code.replace(/[\x00-\x1f\x7f]/g, " "), make: makeDetail, update: updateDetail } });
  },
});

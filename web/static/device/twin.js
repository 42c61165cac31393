// The twin: what is desired of the device, what it reports, and what is still different.

import { ApiError, get, patch } from "../core/api.js";
import { Refresher, setText, setTime } from "../core/dom.js";
import { run } from "../core/frame.js";
import { t } from "../core/texts.js";
import { drawProblem, parseObject } from "./json.js";
import { element, path } from "./this.js";

let shown = null; // the twin as it was told last
let edited = null; // the twin that the text in the form was made from

export const twin = new Refresher(async () => {
  shown = await get(path("/twin"));
  draw();
});

const pretty = (value) => JSON.stringify(value, null, 2);
const isEmpty = (value) => Object.keys(value).length === 0;

export function start(role) {
  element("twin-edit").hidden = role !== "operate" && role !== "admin";
  element("twin-edit").addEventListener("click", open);
  element("twin-close").addEventListener("click", close);
  element("twin-newest").addEventListener("click", open);
  element("twin-form").addEventListener("submit", save);
  element("twin-text").addEventListener("input", () => drawProblem("twin-text", ""));
}

function draw() {
  for (const name of ["desired", "reported", "difference"]) {
    setText(element(`twin-${name}`), isEmpty(shown[name]) ? t(`device.twin.none.${name}`) : pretty(shown[name]));
    element(`twin-${name}`).classList.toggle("quiet", isEmpty(shown[name]));
  }
  const said = shown.desired_version ? t("device.twin.version", { version: shown.desired_version, who: shown.changed_by ?? "–" }) : "";
  setText(element("twin-desired-about"), said);
  setText(element("twin-reported-about"), shown.reported_version ? t("device.twin.applied", { version: shown.reported_version }) : "");
  setTime(element("twin-desired-when"), shown.desired_updated, t("common.ago"));
  setTime(element("twin-reported-when"), shown.reported_updated, t("common.ago"));
  drawConflict();
}

/** Somebody else was faster: what is written here stays, and how to go on is said. */
function drawConflict() {
  const isOld = edited !== null && edited.desired_version !== shown.desired_version;
  element("twin-conflict").hidden = !isOld;
  if (isOld) setText(element("twin-conflict-words"), t("device.twin.conflict", { version: shown.desired_version, read: edited.desired_version }));
}

function open() {
  if (!shown) return;
  edited = shown;
  element("twin-text").value = pretty(shown.desired);
  drawProblem("twin-text", "");
  element("twin-form").hidden = false;
  drawConflict();
  element("twin-text").focus();
}

function close() {
  edited = null;
  element("twin-form").hidden = true;
  element("twin-edit").focus();
}

/** The merge patch (RFC 7396) that makes `to` of `from`. */
export function difference(from, to) {
  const made = {};
  for (const name of Object.keys(from)) if (!(name in to)) made[name] = null;
  for (const [name, value] of Object.entries(to)) {
    if (isObject(value) && isObject(from[name])) {
      const inside = difference(from[name], value);
      if (!isEmpty(inside)) made[name] = inside;
    } else if (JSON.stringify(value) !== JSON.stringify(from[name])) made[name] = value;
  }
  return made;
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

async function save(event) {
  event.preventDefault();
  const { value, problem } = parseObject(element("twin-text").value);
  drawProblem("twin-text", problem);
  if (problem) return;
  element("twin-save").disabled = true;
  const isDone = await run(
    async () => {
      try {
        await patch(path("/twin"), { desired: difference(edited.desired, value), version: edited.desired_version });
      } catch (error) {
        if (error instanceof ApiError && error.status === 409) await twin.request();
        throw error;
      }
    },
    t("device.twin.saved"),
  );
  element("twin-save").disabled = false;
  if (isDone) close();
  twin.request();
}

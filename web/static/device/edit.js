// What operators may change of a device, and how an admin removes it.

import { patch, remove } from "../core/api.js";
import { confirmed } from "../core/ask.js";
import { setText } from "../core/dom.js";
import { run } from "../core/frame.js";
import { t } from "../core/texts.js";
import { device, onRemoved } from "./head.js";
import { element, path, serial } from "./this.js";

const FIELDS = ["label", "site", "group"];
let known = null; // the device as it was told last
let opened = null; // the device as the form was filled from it

const field = (name) => element(`edit-${name}`);

export function onKnown(told) {
  known = told;
}

export function start(role) {
  element("edit-open").hidden = role !== "operate" && role !== "admin";
  element("remove").hidden = role !== "admin";
  element("edit-open").addEventListener("click", open);
  element("edit-close").addEventListener("click", close);
  element("edit").addEventListener("submit", save);
  element("remove").addEventListener("click", forget);
}

function open() {
  opened = known;
  for (const name of FIELDS) field(name).value = known?.[name] ?? "";
  field("offline_after").value = "";
  field("offline_after").placeholder = t("device.edit.silence_now", { count: known?.offline_after ?? "" });
  element("edit").hidden = false;
  element("edit-open").setAttribute("aria-expanded", "true");
  field("label").focus();
}

function close() {
  element("edit").hidden = true;
  element("edit-open").setAttribute("aria-expanded", "false");
  element("edit-open").focus();
}

/** Only what differs is sent: what somebody else changes meanwhile stays. */
function changes() {
  const told = {};
  for (const name of FIELDS) if (field(name).value.trim() !== (opened?.[name] ?? "")) told[name] = field(name).value.trim();
  const silence = field("offline_after").value;
  if (element("edit-policy").checked) told.offline_after = null;
  else if (silence) told.offline_after = Number(silence);
  return told;
}

async function save(event) {
  event.preventDefault();
  element("edit-save").disabled = true;
  const isDone = await run(() => patch(path(), changes()), t("device.edit.done"));
  element("edit-save").disabled = false;
  element("edit-policy").checked = false;
  device.request();
  if (isDone) close();
}

async function forget() {
  const name = element("name").textContent;
  if (!(await confirmed(t("device.remove_ask", { name, serial }), t("device.remove")))) return;
  setText(element("remove-state"), t("device.removing"));
  const isDone = await run(() => remove(path()), t("device.remove_done", { name }));
  setText(element("remove-state"), "");
  if (isDone) onRemoved();
}

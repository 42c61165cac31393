// JSON that people write, and what is wrong with it.

import { setText } from "../core/dom.js";
import { t } from "../core/texts.js";
import { element } from "./this.js";

/** `{value, problem}`: the object that a text is, or in words why it is none. */
export function parseObject(text) {
  try {
    const value = JSON.parse(text);
    if (value === null || typeof value !== "object" || Array.isArray(value)) return { value: null, problem: t("device.json.no_object") };
    return { value, problem: "" };
  } catch (error) {
    return { value: null, problem: t("device.json.broken", { error: error.message }) };
  }
}

/** Say at a field what is wrong with it; empty for nothing. Its words stand in `<id>-problem`. */
export function drawProblem(id, problem) {
  setText(element(`${id}-problem`), problem);
  if (problem) element(id).setAttribute("aria-invalid", "true");
  else element(id).removeAttribute("aria-invalid");
  if (problem) element(id).focus();
}

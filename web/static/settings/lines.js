// Serial numbers as people paste them: one per line.

import { number } from "../core/numbers.js";
import { t } from "../core/texts.js";

const SERIAL = /^[A-Za-z0-9._:-]{1,64}$/;
const MOST = 10000; // of a roster or group
const TOLD = 5; // lines whose faults are told one by one

/** The serial numbers of a text, each once. Throws an Error whose message names the lines that are none. */
export function readSerials(text) {
  const found = new Map();
  const faults = [];
  text.split("\n").forEach((raw, index) => {
    const serial = raw.trim();
    const line = index + 1;
    if (!serial) return;
    if (!SERIAL.test(serial)) faults.push(t("settings.line_form", { line, text: serial.slice(0, 70) }));
    else if (found.has(serial)) faults.push(t("settings.line_again", { line, text: serial, first: found.get(serial) }));
    else found.set(serial, line);
  });
  if (faults.length > TOLD) faults.splice(TOLD, Infinity, t("settings.line_more", { count: number(faults.length - TOLD) }));
  if (found.size > MOST) faults.push(t("settings.line_most", { count: number(found.size), most: number(MOST) }));
  if (faults.length) throw new Error(faults.join("\n"));
  return [...found.keys()];
}

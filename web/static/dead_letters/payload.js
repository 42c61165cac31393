// The bytes of a message as people can read them: JSON in lines, other text as it is, anything else in hexadecimal.

import { t } from "../core/texts.js";
import { bytes } from "../core/numbers.js";

const DUMPED = 2048; // bytes shown in hexadecimal
const WIDTH = 8; // bytes in a line: what a phone has room for
const BEGINNING = 90; // characters in the list

const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

/** `{what, text, raw}`: what it is, in words; as it is to be read; as it came, where that is something else. */
export function readable({ payload, payload_encoding: encoding }) {
  if (payload === "") return { what: t("dead_letters.empty"), text: "", raw: "" };
  if (encoding === "base64") {
    const all = bytesOf(payload);
    return { what: t("dead_letters.binary", { size: bytes(all.length) }), text: dump(all), raw: "" };
  }
  const size = bytes(new TextEncoder().encode(payload).length);
  try {
    const pretty = JSON.stringify(JSON.parse(payload), null, 2);
    return { what: t("dead_letters.json", { size }), text: pretty, raw: pretty === payload ? "" : payload };
  } catch {
    return { what: t("dead_letters.text", { size }), text: payload, raw: "" };
  }
}

/** The first words of it, on one line. */
export function beginning(letter) {
  const text = letter.payload_encoding === "base64" ? hexOf(bytesOf(letter.payload.slice(0, 40))) : letter.payload;
  return text.length > BEGINNING ? `${text.slice(0, BEGINNING)}…` : text;
}

const hexOf = (some) => [...some].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
const shownAs = (byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : "·");

function dump(all) {
  const lines = [];
  for (let at = 0; at < Math.min(all.length, DUMPED); at += WIDTH) {
    const some = all.slice(at, at + WIDTH);
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hexOf(some).padEnd(WIDTH * 3)} ${[...some].map(shownAs).join("")}`);
  }
  if (all.length > DUMPED) lines.push("…");
  return lines.join("\n");
}

// How the things of the settings stand: a word and a tone each.

import { setText } from "../core/dom.js";
import { tOr } from "../core/texts.js";

const TONES = {
  valid: "good",
  expired: "none",
  revoked: "none",
  pending: "open",
  approved: "open",
  enrolled: "good",
  denied: "bad",
  done: "good",
  refused: "open",
  failed: "bad",
  healthy: "good",
  silent: "bad",
  unknown: "open",
  elsewhere: "open",
  undeclared: "open",
};

/** The word for how something stands. */
export const wordOf = (state) => tOr("settings.word.", state);

/** Write how something stands. */
export function drawWord(element, state) {
  setText(element, wordOf(state));
  element.dataset.tone = TONES[state] ?? "none";
}

/** A link to the page of a device. */
export const deviceAddress = (serial) => `/devices/${encodeURIComponent(serial)}`;

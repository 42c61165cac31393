// The states of alarms, commands, deliveries, releases and rollouts: a word and a tone each.

import { setText } from "./dom.js";
import { number } from "./numbers.js";
import { t, tOr } from "./texts.js";

/** Without a tone: what says nothing of the device yet, such as `sent` and `accepted`. */
const TONES = {
  open: "open",
  queued: "open",
  running: "open",
  received: "good",
  displayed: "good",
  succeeded: "good",
  failed: "bad",
  expired: "bad",
  timed_out: "bad",
  completed: "good",
  paused: "open",
  halted: "bad",
  ready: "good",
  revoked: "bad",
  rolled_back: "bad",
  silent: "bad",
  critical: "bad",
  warning: "open",
};

/** The word for a state. */
export const stateText = (state) => tOr("states.", state);

/** How many are in each state, in words. */
export const tallyText = (counts) =>
  Object.entries(counts)
    .map(([state, count]) => t("common.tally", { count: number(count), state: stateText(state) }))
    .join(" · ");

/** Write a state. */
export function drawState(element, state) {
  setText(element, stateText(state));
  element.dataset.tone = TONES[state] ?? "none";
}

/** Whether a command in this state can still be cancelled. */
export const isUnderWay = (state) => ["queued", "sent", "running"].includes(state);

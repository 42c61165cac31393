// Who this device is and whether it is there: the head of the page, which stays in sight of every part.

import { ApiError, get } from "../core/api.js";
import { h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { setTitle } from "../core/frame.js";
import { t, tOr } from "../core/texts.js";
import { element, path, serial } from "./this.js";

const listeners = [];
let isRemoved = false;

/** Asks for the device; who wants it is told by `onKnown`. */
export const device = new Refresher(async () => {
  try {
    const known = await get(path());
    isRemoved = false;
    draw(known);
    for (const listener of listeners) listener(known);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
    if (isRemoved) return;
    absent("device.unknown");
  }
});

/** Call `listener(device)` whenever what is known of it came anew. */
export const onKnown = (listener) => listeners.push(listener);

/** It was removed while somebody looked. */
export function onRemoved() {
  isRemoved = true;
  absent("device.removed");
}

/** Take a presence that was pushed. */
export function onPresence(data) {
  if (!element("device").hidden) drawPresence(data); // else it is not known yet what it belongs to
  device.request();
}

function absent(key) {
  element("device").hidden = true;
  element("absent").hidden = false;
  setText(element("absent-what"), t(key, { serial }));
  setText(element("absent-next"), t(key === "device.removed" ? "device.removed_next" : "device.unknown_next"));
  element("absent-command").hidden = key === "device.removed";
  setText(element("absent-command").querySelector("code"), `muster devices -q ${serial}`);
}

function draw(known) {
  element("absent").hidden = true;
  element("device").hidden = false;
  const name = known.label ?? known.hostname ?? known.serial;
  setText(element("name"), name);
  setTitle(`${name} · Muster`);
  setText(element("serial"), known.serial);
  const about = [tOr("states.", known.kind), known.site, known.ip_address].filter(Boolean);
  setText(element("about"), about.join(" · "));
  drawPresence(known);
}

function drawPresence({ presence, reason, since, last_seen: seen, flapping, quarantined }) {
  element("presence").dataset.state = presence;
  element("presence-dot").className = `dot ${presence}`;
  setText(element("presence-word"), tOr("states.", presence));
  setText(element("presence-reason"), tOr("states.", reason));
  setTime(element("presence-since"), since, t("device.since"));
  setTime(element("seen"), seen, t("device.seen"));
  const marks = Object.entries({ flapping, quarantined }).filter(([, is]) => is);
  // A presence that was pushed does not tell of quarantine.
  if (quarantined === undefined) return;
  keyed(element("marks"), marks, ([mark]) => mark, ([mark]) => h("span", { class: "mark", text: tOr("states.", mark), title: t(`device.mark.${mark}`) }), () => {});
}

// The parts of the page, one at a time: what nobody looks at is not fetched. The address remembers which.

import { element } from "./this.js";

const shownAt = new Map(); // a part -> what is to be fetched when it is shown
let chosen = "";

const tabs = () => [...element("tabs").children];
const named = (hash) => tabs().find((tab) => tab.dataset.part === hash.slice(1));

/** Whether a part is shown. */
export const isShown = (part) => part === chosen;

/** Ask these refreshers whenever the part is shown. */
export function whenShown(part, ...panels) {
  shownAt.set(part, panels);
}

/** A refresher of that part asks only while somebody sees the answer. */
export const request = (part, panel) => isShown(part) && panel.request();

function choose(tab, { focus = false } = {}) {
  chosen = tab.dataset.part;
  for (const other of tabs()) {
    const isThis = other === tab;
    other.setAttribute("aria-selected", isThis);
    other.tabIndex = isThis ? 0 : -1;
    element(`part-${other.dataset.part}`).hidden = !isThis;
  }
  if (focus) tab.focus();
  tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (location.hash.slice(1) !== chosen) history.replaceState(null, "", `#${chosen}`);
  for (const panel of shownAt.get(chosen) ?? []) panel.request();
}

export function start() {
  element("tabs").addEventListener("click", ({ target }) => {
    const tab = target.closest("[role=tab]");
    if (tab) choose(tab);
  });
  element("tabs").addEventListener("keydown", (event) => {
    const all = tabs();
    const at = all.indexOf(event.target);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(all[(to + all.length) % all.length], { focus: true });
  });
  addEventListener("hashchange", () => named(location.hash) && choose(named(location.hash)));
  choose(named(location.hash) ?? tabs()[0]);
}

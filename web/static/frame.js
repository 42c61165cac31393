// What every page has: the session, how live it is, ages, what went wrong, and when it looks again.

import { get, post, serverNow } from "./api.js";
import { h, setText, tickAges } from "./dom.js";
import { follow } from "./live.js";

const LOOK = 10000; // ms: the times at which devices were last seen change without an event
const ALL_EVERY = 3; // looks: a safety net while events come; without them every look is at everything
const live = document.getElementById("live");
const toast = document.getElementById("toast");
let toastTimer = 0;

export const refresh = (...chosen) => chosen.forEach((panel) => panel.request());

function report(message) {
  setText(toast, message);
  toast.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => toast.classList.remove("shown"), 6000);
}

/** Do something, and report its failure; whether it went well. */
export async function run(action) {
  try {
    await action();
    return true;
  } catch (error) {
    report(error.message);
    return false;
  }
}

/** Make a button that does `action`, reports its failure, and lets `after` look again. */
export function button(label, title, action, after) {
  return h("button", {
    type: "button",
    class: "small",
    text: label,
    "aria-label": title,
    onclick: async (event) => {
      const pressed = event.currentTarget;
      pressed.disabled = true;
      await run(action);
      pressed.disabled = false;
      after.request();
    },
  });
}

/**
 * Start a page. `panels` are its refreshers, `often` those that every look is at, `events` says what each kind of event
 * changes; `ready(role)` is called once it is known who looks.
 */
export async function start({ panels, often, events, ready }) {
  let session = { role: "read", version: "" };
  await run(async () => {
    session = await get("/api/session");
  });
  setText(document.getElementById("version"), session.version);
  ready(session.role);
  refresh(...panels);
  follow(
    Object.keys(events),
    (kind, data) => {
      events[kind](data);
      tickAges(serverNow());
    },
    () => refresh(...panels),
    (state) => {
      live.dataset.state = state;
      setText(live, state);
    },
  );
  setInterval(() => tickAges(serverNow()), 1000);
  let looks = 0;
  setInterval(() => {
    if (document.hidden) return;
    looks += 1;
    refresh(...(live.dataset.state !== "live" || looks % ALL_EVERY === 0 ? panels : often));
  }, LOOK);
  document.addEventListener("visibilitychange", () => document.hidden || refresh(...panels));
  new MutationObserver(() => tickAges(serverNow())).observe(document.querySelector("main"), {
    attributeFilter: ["data-time"],
    subtree: true,
  });
  document.getElementById("logout").addEventListener("click", async () => {
    await run(() => post("/api/logout"));
    location.replace("/login");
  });
}

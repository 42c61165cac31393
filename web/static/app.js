// The page: what is shown, what refreshes it, and how live it is.

import { get, post, serverNow } from "./api.js";
import { setText, tickAges } from "./dom.js";
import * as fleet from "./fleet.js";
import { follow } from "./live.js";
import * as tree from "./tree.js";

const LOOK = 10000; // ms: the times at which devices were last seen change without an event
const ALL_EVERY = 3; // looks: a safety net while events come; without them every look is at everything
const panels = [fleet.fleet, fleet.counts, tree.tree, tree.links, tree.letters];
const live = document.getElementById("live");
const toast = document.getElementById("toast");
let toastTimer = 0;

const refresh = (...chosen) => chosen.forEach((panel) => panel.request());

/** What each kind of event changes. */
const EVENTS = {
  device: (data) => fleet.onDevice("device", data),
  presence: (data) => fleet.onDevice("presence", data),
  removed: (data) => fleet.onDevice("removed", data),
  sight: () => refresh(fleet.fleet, fleet.counts, tree.links),
  link: () => refresh(tree.links),
  supervision: () => refresh(tree.tree, fleet.fleet),
  dead_letter: () => refresh(tree.letters),
};

function report(message) {
  setText(toast, message);
  toast.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => toast.classList.remove("shown"), 6000);
}

async function run(action) {
  try {
    await action();
  } catch (error) {
    report(error.message);
  }
}

async function start() {
  let session = { role: "read", version: "" };
  await run(async () => {
    session = await get("/api/session");
  });
  setText(document.getElementById("version"), session.version);
  fleet.start();
  tree.start(session.role, run);
  refresh(...panels);
  follow(
    Object.keys(EVENTS),
    (kind, data) => {
      EVENTS[kind](data);
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
    refresh(...(live.dataset.state !== "live" || looks % ALL_EVERY === 0 ? panels : [fleet.fleet]));
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

start();

// The page of the fleet: what is shown, and what refreshes it.

import * as fleet from "./fleet.js";
import { refresh, start } from "./frame.js";
import * as tree from "./tree.js";

start({
  panels: [fleet.fleet, fleet.counts, tree.tree, tree.links, tree.letters],
  often: [fleet.fleet],
  events: {
    device: (data) => fleet.onDevice("device", data),
    presence: (data) => fleet.onDevice("presence", data),
    removed: (data) => fleet.onDevice("removed", data),
    sight: () => refresh(fleet.fleet, fleet.counts, tree.links),
    link: () => refresh(tree.links),
    supervision: () => refresh(tree.tree, fleet.fleet),
    dead_letter: () => refresh(tree.letters),
  },
  ready: (role, run) => {
    fleet.start();
    tree.start(role, run);
  },
});

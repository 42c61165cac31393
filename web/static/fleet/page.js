// The page of the fleet: what is shown, and what refreshes it.

import * as device from "./device.js";
import * as enrol from "./enrol.js";
import * as fleet from "./table.js";
import { refresh, start } from "../core/frame.js";
import * as reach from "./reach.js";
import * as tree from "./tree.js";

const onDevice = (kind) => (data) => {
  fleet.onDevice(kind, data);
  device.onDevice(data);
};

start({
  panels: [fleet.fleet, fleet.counts, device.device, ...reach.panels, enrol.waiting, tree.tree, tree.links, tree.letters],
  often: [fleet.fleet, device.device, ...reach.panels, enrol.waiting],
  events: {
    device: onDevice("device"),
    presence: onDevice("presence"),
    removed: onDevice("removed"),
    enrolment: () => refresh(enrol.waiting),
    sight: () => refresh(fleet.fleet, fleet.counts, tree.links),
    link: () => refresh(tree.links),
    supervision: () => refresh(tree.tree, fleet.fleet),
    dead_letter: () => refresh(tree.letters),
    alarm: (data) => reach.onChange(reach.alarms, data),
    command: (data) => reach.onChange(reach.commands, data),
    delivery: (data) => reach.onChange(reach.notifications, data),
  },
  ready: (role) => {
    fleet.start();
    device.start();
    reach.start(role);
    enrol.start(role);
    tree.start(role);
  },
});

// The page of one device.

import { Refresher } from "../core/dom.js";
import { refresh, start } from "../core/frame.js";
import * as actor from "./actor.js";
import * as alarms from "./alarms.js";
import * as commands from "./commands.js";
import * as edit from "./edit.js";
import * as events from "./events.js";
import * as facts from "./facts.js";
import * as head from "./head.js";
import * as notifications from "./notifications.js";
import * as scans from "./scans.js";
import * as tabs from "./tabs.js";
import { actorPath, followed, serial } from "./this.js";
import * as timeline from "./timeline.js";
import * as twin from "./twin.js";

let charts = null; // the module of the charts, which is heavy: only who looks at them loads it
const readings = new Refresher(async () => {
  if (!charts) {
    charts = await import("./readings.js");
    charts.start(readings);
  }
  await charts.look();
});

const PARTS = {
  overview: [alarms.alarms],
  readings: [readings],
  reach: [commands.commands, notifications.notifications],
  twin: [twin.twin],
  scans: [scans.scans],
  events: [events.events],
  actor: [actor.actor, actor.tree],
};

/** What of a part is asked only while the part is seen; the same for whoever looks again by himself. */
const seen = (part, panel) => ({ request: () => tabs.request(part, panel) });
const hidden = Object.entries(PARTS).flatMap(([part, panels]) => panels.map((panel) => seen(part, panel)));
const logged = seen("events", { request: () => events.onChange() && events.events.request() });
const acting = seen("actor", actor.actor);
const commanded = seen("reach", commands.commands);
const notified = seen("reach", notifications.notifications);
const scanned = seen("scans", scans.scans);
const twinned = seen("twin", twin.twin);

head.onKnown(facts.draw);
head.onKnown(edit.onKnown);
head.onKnown(commands.onKnown);
head.onKnown((known) => {
  actor.onKnown(known);
  tabs.request("actor", actor.tree);
});

const isMine = ({ serial: about, device }) => (about ?? device ?? serial) === serial;
const mine = (take) => (data) => isMine(data) && take(data);

start({
  panels: [head.device, timeline.timeline, ...hidden],
  often: [head.device, seen("actor", actor.actor)],
  device: followed,
  events: {
    device: mine(() => head.device.request()),
    presence: mine((data) => {
      head.onPresence(data);
      timeline.timeline.request();
      logged.request();
    }),
    sight: () => {
      head.device.request();
      timeline.timeline.request();
    },
    reading: mine((data) => charts?.onReading(data)),
    scan: mine(() => scanned.request()),
    removed: mine(head.onRemoved),
    command: mine(() => refresh(commanded, logged)),
    delivery: mine(() => refresh(notified, logged)),
    twin: mine(() => refresh(twinned, logged)),
    enrolment: mine(() => logged.request()),
    alarm: mine(() => refresh(alarms.alarms, logged)),
    supervision: ({ path }) => path === actorPath && (acting.request(), logged.request()),
  },
  ready: (role) => {
    for (const part of [edit, alarms, commands, notifications, twin, scans, actor, events, timeline]) part.start(role);
    for (const [part, panels] of Object.entries(PARTS)) tabs.whenShown(part, ...panels);
    tabs.start();
  },
});

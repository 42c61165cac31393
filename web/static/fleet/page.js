// The page of the fleet: what is shown, and what refreshes it.

import { refresh, start } from "../core/frame.js";
import * as notices from "./notices.js";
import * as overview from "./overview.js";
import { onChoice, startChoice } from "./choice.js";
import * as table from "./table.js";

onChoice(table.restart);
onChoice(overview.mark);

const onDevice = (kind) => (data) => {
  table.onDevice(kind, data);
  overview.overview.soon();
};

start({
  panels: [table.panel, overview.overview, notices.waiting, notices.server],
  often: [table.panel, overview.overview],
  events: {
    device: onDevice("device"),
    presence: onDevice("presence"),
    removed: onDevice("removed"),
    sight: () => refresh(table.panel, overview.overview),
    alarm: () => overview.overview.soon(),
    enrolment: () => refresh(notices.waiting),
    link: () => refresh(notices.server),
    supervision: () => notices.server.soon(),
  },
  ready: (role) => {
    startChoice();
    notices.start(role);
    overview.start();
    table.start();
  },
});

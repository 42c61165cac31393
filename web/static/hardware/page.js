// The page of the sensors: a list of stations, or the charts of one or several, as the address says.

import { start } from "../core/frame.js";
import * as charts from "./charts.js";
import * as soil from "./stations.js";
import * as figures from "./figures.js";
import { chosen } from "./view.js";

const element = (id) => document.getElementById(id);

if (chosen.length) {
  element("view-charts").hidden = false;
  start({
    panels: [charts.stations, charts.series],
    often: [charts.stations],
    events: {
      reading: charts.onReading,
      presence: charts.onDevice,
      device: charts.onDevice,
      removed: () => charts.stations.request(),
      sight: () => charts.stations.request(),
    },
    ready: charts.start,
  });
} else {
  element("view-list").hidden = false;
  start({
    panels: [soil.stations, figures.statistics, figures.followers],
    often: [soil.stations, figures.statistics],
    events: {
      reading: soil.onReading,
      presence: soil.onDevice,
      device: soil.onDevice,
      removed: () => soil.stations.request(),
      sight: () => soil.stations.request(),
      dead_letter: () => figures.statistics.request(),
    },
    ready: () => {
      soil.start();
      figures.start();
    },
  });
}

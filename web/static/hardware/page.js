// The page of the soil stations: what is shown, and what refreshes it.

import { refresh, start } from "../core/frame.js";
import * as soil from "./stations.js";

start({
  panels: [soil.stations, soil.statistics, soil.followers],
  often: [soil.stations, soil.statistics],
  events: {
    reading: soil.onReading,
    presence: soil.onDevice,
    device: soil.onDevice,
    removed: () => refresh(soil.stations),
    sight: () => refresh(soil.stations),
    dead_letter: () => refresh(soil.statistics),
  },
  ready: soil.start,
});

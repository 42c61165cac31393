// The page `supervision`.

import { start } from "../core/frame.js";

start({ panels: [], often: [], events: {}, ready: () => {} });

// The page `reference`.

import { start } from "../core/frame.js";

start({ panels: [], often: [], events: {}, ready: () => {} });

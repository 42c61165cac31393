// The page `dead_letters`.

import { start } from "../core/frame.js";

start({ panels: [], often: [], events: {}, ready: () => {} });

// A panel that many events ask for: the first is answered at once, those behind it together and later.

import { Refresher } from "../core/dom.js";

export class CalmRefresher extends Refresher {
  #every;
  #asked = -Infinity;
  #timer = 0;

  /** `every` are the ms between two answers to events. */
  constructor(fetch, every) {
    super(fetch);
    this.#every = every;
  }

  /** Something has changed that is told here. */
  soon() {
    if (this.#timer) return;
    const wait = Math.max(0, this.#asked + this.#every - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.request();
    }, wait);
  }

  request() {
    this.#asked = performance.now();
    return super.request();
  }
}

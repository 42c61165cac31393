// A panel that many events ask for: the first is answered at once, those behind it together and later.

import { Refresher } from "../core/dom.js";

const SHARE = 10; // an answer may take one part in so many of the time

export class CalmRefresher extends Refresher {
  #every;
  #asked = -Infinity;
  #took = 0;
  #timer = 0;

  /** `every` are the ms between two answers to events, at least; a server that has much to do is asked less often. */
  constructor(fetch, every) {
    super(async () => {
      const began = performance.now();
      await fetch();
      this.#took = performance.now() - began;
    });
    this.#every = every;
  }

  /** Something has changed that is told here. Nobody sees a page that is hidden; all of it is asked for when it is shown. */
  soon() {
    if (this.#timer || document.hidden) return;
    const wait = Math.max(0, this.#asked + Math.max(this.#every, SHARE * this.#took) - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#asked = performance.now();
      this.request();
    }, wait);
  }
}

// The event stream, and the truth about it: live, reconnecting or stale.

const SILENCE = 25000; // ms without a sign after which what is shown is stale; the server gives one every 10 s
const MISSED = 12000; // ms without a sign after which whoever wakes up does not trust his connection
const RETRY = [1500, 3000, 6000, 12000]; // ms, each taken 0.5 to 1.5 times: many pages must not come back in one instant
const SPREAD = 1000; // ms over which pages that are all told to fetch everything do so
const TICK = 1000; // ms
const SLICE = 8; // ms of a frame that events may take
const MOST = 5000; // events that wait for a frame; when there are more, everything is fetched instead
const HIDDEN = 10000; // ms out of sight after which a page lets its stream go: a browser has six connections to a server

/** Return a function that has `draw` called before the next frame, once however often it is asked for. */
export function perFrame(draw) {
  let planned = false;
  return () => {
    if (planned) return;
    planned = true;
    requestAnimationFrame(() => {
      planned = false;
      draw();
    });
  };
}

class Live {
  #told;
  #query;
  #source = null;
  #lastId;
  #heard = Date.now(); // the last sign of the server
  #opened = 0; // the last attempt
  #ticked = Date.now();
  #failures = 0;
  #retry = 0; // timers
  #leave = 0;
  #queue = []; // events until the next frame
  #state = "";
  #draw = perFrame(() => this.#drain());

  constructor({ kinds, device, since, ...told }) {
    this.#told = { kinds, ...told };
    this.#query = { kinds: kinds.join(","), ...(device && { device }) };
    this.#lastId = since;
  }

  start() {
    setInterval(() => this.#tick(), TICK);
    addEventListener("online", () => this.#wake());
    addEventListener("pagehide", () => this.#letGo());
    addEventListener("pageshow", (event) => event.persisted && this.#return());
    document.addEventListener("resume", () => this.#wake());
    document.addEventListener("visibilitychange", () => this.#onSight());
    if (!document.hidden) this.#open();
  }

  #open() {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#opened = Date.now();
    // A browser that is left to it gives up for good on an answer like 503; so retries are ours, and where we were as well.
    const query = new URLSearchParams({ ...this.#query, ...(this.#lastId && { last_event_id: this.#lastId }) });
    const source = new EventSource(`/api/events?${query}`);
    this.#source = source;
    const isFirst = !this.#lastId;
    source.onopen = () => isFirst && this.#told.onResync();
    source.onerror = () => this.#again();
    source.addEventListener("beat", (event) => this.#sign(event));
    source.addEventListener("resync", (event) => {
      this.#sign(event);
      this.#resync();
    });
    for (const kind of this.#told.kinds) source.addEventListener(kind, (event) => this.#take(kind, event));
  }

  #again() {
    this.#source.close();
    this.#tell(Date.now() - this.#heard > SILENCE ? "stale" : "reconnecting");
    clearTimeout(this.#retry);
    const pause = RETRY[Math.min(this.#failures, RETRY.length - 1)] * (0.5 + Math.random());
    this.#retry = setTimeout(() => this.#open(), pause);
    this.#failures += 1;
  }

  #sign(event) {
    this.#heard = Date.now();
    this.#failures = 0;
    this.#lastId = event.lastEventId || this.#lastId;
    this.#tell("live");
  }

  #tell(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#told.onState(state, this.#heard);
  }

  #take(kind, event) {
    this.#sign(event);
    if (document.hidden) return; // everything is fetched when it is seen again
    this.#queue.push([kind, event.data]);
    if (this.#queue.length > MOST) this.#resync();
    this.#draw();
  }

  #resync() {
    this.#queue = [];
    setTimeout(this.#told.onResync, Math.random() * SPREAD);
  }

  #drain() {
    const until = performance.now() + SLICE;
    const queue = this.#queue;
    let taken = 0;
    try {
      while (taken < queue.length && performance.now() < until) {
        const [kind, data] = queue[taken++];
        this.#told.onEvent(kind, JSON.parse(data));
      }
    } finally {
      this.#queue = queue.slice(taken);
      if (this.#queue.length) this.#draw();
    }
    this.#told.onBatch();
  }

  #tick() {
    const now = Date.now();
    const slept = now - this.#ticked > 5 * TICK;
    this.#ticked = now;
    if (this.#isAway) return;
    if (slept) this.#wake();
    if (now - this.#heard <= SILENCE) return;
    this.#tell("stale");
    // Open or opening, and silent: a dead connection that the browser has not noticed.
    if (this.#source.readyState !== EventSource.CLOSED && now - this.#opened > SILENCE) this.#again();
  }

  /** The device has slept, or has another network: do not wait for timers, nor for what a dead connection may say. */
  #wake() {
    if (this.#isAway) return;
    const isTrying = this.#source.readyState !== EventSource.CLOSED;
    if (isTrying && Date.now() - Math.max(this.#heard, this.#opened) < MISSED) return;
    this.#failures = 0;
    this.#open();
  }

  #onSight() {
    clearTimeout(this.#leave);
    if (document.hidden) this.#leave = setTimeout(() => this.#letGo(), HIDDEN);
    else this.#return();
  }

  #return() {
    if (this.#isAway) this.#open();
    else this.#wake();
    this.#told.onResync();
  }

  #letGo() {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
  }

  get #isAway() {
    return this.#source === null;
  }
}

/**
 * Follow the server's events of these kinds, and of `device` alone if given, from the event with the id `since` on.
 *
 * `onEvent(kind, data)` gets each, in batches before a frame is drawn, and `onBatch()` is called after each batch; a page
 * that nobody sees gets none. `onResync()` is called when something may have been missed, and when the page is seen again.
 * `onState(state, heard)` gets `live`, `reconnecting` or `stale`, and when the server was heard last, in ms.
 */
export function follow({ kinds, device = "", since = "", onEvent, onBatch, onResync, onState }) {
  new Live({ kinds, device, since, onEvent, onBatch, onResync, onState }).start();
}

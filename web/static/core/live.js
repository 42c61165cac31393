// The event stream, and the truth about it: live, reconnecting or stale.

const SILENCE = 25000; // ms; the server gives a sign of life every 10 s
const RETRY = [1000, 2000, 5000, 10000]; // ms

/**
 * Follow the server's events of these kinds. `onEvent(kind, data)` gets each, `onResync()` is called whenever something
 * may have been missed (each time the stream opens, too), `onState(state)` with `live`, `reconnecting` or `stale`.
 */
export function follow({ kinds, onEvent, onResync, onState }) {
  let source = null;
  let failures = 0;
  let heard = Date.now();
  let retry = 0;

  function sign() {
    heard = Date.now();
    failures = 0;
    onState("live");
  }

  function open() {
    clearTimeout(retry);
    source?.close();
    source = new EventSource(`/api/events?kinds=${kinds.join(",")}`);
    source.onopen = () => {
      sign();
      onResync();
    };
    // Retries are ours: a browser gives up for good on an answer like 503.
    source.onerror = () => again();
    source.addEventListener("beat", sign);
    source.addEventListener("resync", () => {
      sign();
      onResync();
    });
    for (const kind of kinds) {
      source.addEventListener(kind, (event) => {
        sign();
        onEvent(kind, JSON.parse(event.data));
      });
    }
  }

  function again() {
    source.close();
    onState(Date.now() - heard > SILENCE ? "stale" : "reconnecting");
    clearTimeout(retry);
    retry = setTimeout(open, RETRY[Math.min(failures, RETRY.length - 1)] * (0.5 + Math.random()));
    failures += 1;
  }

  setInterval(() => {
    if (Date.now() - heard <= SILENCE) return;
    onState("stale");
    // Open and silent: a dead connection that the browser has not noticed.
    if (source.readyState === EventSource.OPEN) again();
  }, 1000);
  // A phone that wakes up must not wait for a timer that slept.
  addEventListener("online", open);
  open();
}

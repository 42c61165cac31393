// Whether somebody reads a list: then nothing in it moves, comes or goes.

const POINTER = 4000; // ms after its last movement
const KEYBOARD = 30000; // ms after the last key: whoever walks by keys looks longer, and would lose the focus
const LOOK = 1000; // ms

/** Watch a list; `onEnd()` is called when nobody reads it any more. */
export class Reading {
  #until = -Infinity;

  constructor(list, onEnd) {
    const begin = (length) => () => {
      this.#until = Math.max(this.#until, performance.now() + length);
    };
    const end = () => {
      if (this.#until < 0) return;
      this.#until = -Infinity;
      onEnd();
    };
    list.addEventListener("pointermove", begin(POINTER));
    for (const kind of ["keydown", "focusin"]) list.addEventListener(kind, begin(KEYBOARD));
    list.addEventListener("pointerleave", end);
    setInterval(() => this.isNow || end(), LOOK);
  }

  get isNow() {
    return performance.now() < this.#until;
  }
}

// A form whose problem is told where it is, and whose success is told like that of a button.

import { setText } from "../core/dom.js";
import { run } from "../core/frame.js";

const element = (id) => document.getElementById(id);

/** Do `act()` when the form is sent; what it throws is told in `problem`, the sentence it gives back as a message. */
export function onSubmit(form, problem, act) {
  element(form).addEventListener("submit", async (event) => {
    event.preventDefault();
    const go = element(form).querySelector("[type=submit]");
    go.disabled = true;
    setText(element(problem), "");
    try {
      const done = await act();
      if (done) await run(() => {}, done);
    } catch (error) {
      setText(element(problem), error.message);
    }
    go.disabled = false;
  });
}

// The pages of a list that the server cuts, and the buttons to turn them.

import { setText } from "./dom.js";

const element = (id) => document.getElementById(id);

export class Pager {
  #size;
  #cursors = [""]; // of the pages up to the one shown
  #next = null;

  constructor(size) {
    this.#size = size;
  }

  /** The question for the page shown, with what else is asked for. */
  question(wanted = {}) {
    const query = new URLSearchParams({ limit: this.#size });
    for (const [name, value] of Object.entries(wanted)) if (value) query.set(name, value);
    if (this.#cursors.at(-1)) query.set("cursor", this.#cursors.at(-1));
    return query.toString();
  }

  get isFirst() {
    return this.#cursors.length < 2;
  }

  /** Let the buttons turn pages; `request` asks for the page that is then shown. */
  start(request) {
    element("previous").addEventListener("click", () => {
      this.#cursors.pop();
      request();
    });
    element("next").addEventListener("click", () => {
      if (!this.#next) return; // the page is still on its way
      this.#cursors.push(this.#next);
      this.#next = null;
      request();
    });
  }

  reset() {
    this.#cursors = [""];
  }

  /** Take an answer; false where its page has become empty: then the one before is to be asked for. */
  take(page) {
    if (page.items.length === 0 && !this.isFirst) {
      this.#cursors.pop();
      return false;
    }
    this.#next = page.cursor;
    return true;
  }

  /** Write which of the list are shown, `none` where there is nothing. */
  draw(note, count, none = "") {
    const first = (this.#cursors.length - 1) * this.#size;
    setText(note, count ? `${first + 1} to ${first + count}` : none);
    element("previous").disabled = this.isFirst;
    element("next").disabled = !this.#next;
  }
}

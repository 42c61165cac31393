// A list that the server cuts into pages: what asks for the page shown, and the buttons to turn it.

import { ApiError, get } from "./api.js";
import { Refresher, setText } from "./dom.js";
import { number } from "./numbers.js";
import { t } from "./texts.js";

const SIZE = 50; // of a page

const element = (id) => document.getElementById(id);

/** Let the buttons turn to what there is. One that is at its end under the focus hands it to the other. */
export function drawTurns(isFirst, isLast) {
  const [previous, next] = [element("previous"), element("next")];
  const focused = document.activeElement;
  previous.disabled = isFirst;
  next.disabled = isLast;
  if (focused === next && isLast) previous.focus();
  if (focused === previous && isFirst) next.focus();
}

export class Pager {
  #path;
  #wanted;
  #draw;
  #cursors = [""]; // of the pages up to the one shown
  #next = null;
  #drawn = null; // the question whose answer is shown

  /**
   * `path` of the API answers with the list, `wanted()` is what else it is asked for by name. `draw(items, isSame, refusal)`
   * shows a page; `isSame`: the same question was answered before, so that what was not there is new; `refusal` is
   * what the server has against the question, if it has something.
   */
  constructor(path, { draw, wanted = () => ({}) }) {
    this.#path = path;
    this.#wanted = wanted;
    this.#draw = draw;
  }

  /** What asks for the page shown. */
  panel = new Refresher(() => this.#look());

  get isFirst() {
    return this.#cursors.length < 2;
  }

  /** Let the buttons turn pages. */
  start() {
    element("previous").addEventListener("click", () => {
      this.#cursors.pop();
      this.panel.request();
    });
    element("next").addEventListener("click", () => {
      if (!this.#next) return; // the page is still on its way
      this.#cursors.push(this.#next);
      this.#next = null;
      this.panel.request();
    });
  }

  /** Show the first page of what is wanted now. */
  restart() {
    this.#cursors = [""];
    this.panel.request();
  }

  /** Write which of the list are shown, `none` where there is nothing. */
  drawFoot(count, none = "") {
    const first = (this.#cursors.length - 1) * SIZE;
    const shown = { first: number(first + 1), last: number(first + count) };
    setText(document.querySelector(".foot p"), count ? t("common.shown", shown) : none);
    drawTurns(this.isFirst, !this.#next);
  }

  #question() {
    const query = new URLSearchParams({ limit: SIZE });
    for (const [name, value] of Object.entries(this.#wanted())) if (value) query.set(name, value);
    if (this.#cursors.at(-1)) query.set("cursor", this.#cursors.at(-1));
    return query.toString();
  }

  async #look() {
    const asked = this.#question();
    const page = await get(`${this.#path}?${asked}`).catch(nothing);
    if (asked !== this.#question()) return; // somebody has turned the page meanwhile, and asked for that one
    if (page.items.length === 0 && !this.isFirst) {
      this.#cursors.pop(); // the page has become empty: the one before is to be asked for
      this.panel.request();
      return;
    }
    this.#next = page.cursor;
    this.#draw(page.items, asked === this.#drawn, page.refusal);
    this.#drawn = asked;
  }
}

/** Of what the server knows nothing (404), or does not understand (400), there is nothing. */
function nothing(error) {
  if (!(error instanceof ApiError && [400, 404].includes(error.status))) throw error;
  return { items: [], cursor: null, refusal: error.status === 400 ? error.message : "" };
}

// A page that is one list: cut into pages, narrowed by the form above it, the newest first and live.

import { flash, keyed, setText } from "./dom.js";
import { chosen, startFilters } from "./filters.js";
import { Pager } from "./pager.js";

const element = (id) => document.getElementById(id);

export class List {
  #pager;
  #filters;
  #rows;
  #none;
  #drawn;

  /**
   * `filters` are the names of the form's fields, `wanted()` what the list of `path` is asked for. Rows are made and
   * updated by `make(item)` and `update(row, item)`, and kept by `keyOf(item)`; `none()` says that there is none.
   * `drawn(items)` is told whenever a page is shown.
   */
  constructor(path, { filters, wanted = () => chosen, keyOf, make, update, none, drawn = () => {} }) {
    this.#pager = new Pager(path, { wanted, draw: (...page) => this.#draw(...page) });
    this.#filters = filters;
    this.#rows = { keyOf, make, update };
    this.#none = none;
    this.#drawn = drawn;
  }

  get panel() {
    return this.#pager.panel;
  }

  /** Something of the list has changed. Later pages stand still for whoever reads them. */
  onChange() {
    if (this.#pager.isFirst) this.panel.request();
  }

  start() {
    this.#pager.start();
    if (this.#filters.length) startFilters(this.#filters, () => this.#pager.restart());
  }

  #draw(items, isSame, refusal) {
    const { keyOf, make, update } = this.#rows;
    element("none").hidden = items.length > 0;
    element("table").hidden = items.length === 0;
    setText(element("none-words"), refusal || this.#none());
    keyed(element("list"), items, keyOf, make, (row, item) => {
      const isNew = isSame && !row.isConnected;
      update(row, item);
      if (isNew) flash(row);
    });
    this.#pager.drawFoot(items.length);
    this.#drawn(items);
  }
}

// Which time a page's charts show: so many hours up to now, or a part that somebody has zoomed into.

import { serverNow } from "./api.js";
import { h, setText } from "./dom.js";
import { locale, t } from "./texts.js";

const HOUR = 3600000; // ms
const CHOICES = [
  [1, "chart.hour"],
  [6, "chart.six_hours"],
  [24, "chart.day"],
  [168, "chart.week"],
  [720, "chart.month"],
];
const LEAST = 10000; // ms that can be zoomed into
const FORMAT = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });

export class Range {
  #hours;
  #zooms = []; // [since, until] (ms), the one shown last
  #onChange;
  #buttons;
  #zoomed;
  #back;

  /** Put the buttons into `place`; `onChange()` is called when another time is chosen. It begins with the last `hours`. */
  constructor(place, onChange, hours = 1) {
    this.#onChange = onChange;
    this.#hours = hours;
    this.#buttons = CHOICES.map(([choice, key]) =>
      h("button", { type: "button", class: "small", text: t(key), "data-hours": choice, onclick: () => this.#choose(choice) }),
    );
    this.#zoomed = h("span", { class: "quiet", role: "status" });
    this.#back = h("button", { type: "button", class: "small", text: t("chart.back"), onclick: () => this.back() });
    place.append(
      h("div", { class: "range", role: "group", "aria-label": t("chart.range") }, ...this.#buttons, this.#back, this.#zoomed),
    );
    this.#draw();
  }

  /** The time to show, in ms since 1970. Unless somebody has zoomed it ends now, by the server's clock. */
  bounds() {
    const zoom = this.#zooms.at(-1);
    if (zoom) return { since: zoom[0], until: zoom[1] };
    const until = serverNow();
    return { since: until - this.#hours * HOUR, until };
  }

  /** Zoom: show this time (ms since 1970). Without one, go a step back. */
  set(since, until) {
    if (since === null) {
      this.back();
      return;
    }
    const middle = (since + until) / 2;
    const half = Math.max(until - since, LEAST) / 2;
    this.#zooms.push([middle - half, middle + half]);
    this.#changed();
  }

  /** Go back to what was shown before the last zoom. */
  back() {
    if (!this.#zooms.pop()) return;
    this.#changed();
  }

  #choose(hours) {
    this.#hours = hours;
    this.#zooms = [];
    this.#changed();
  }

  #changed() {
    this.#draw();
    this.#onChange();
  }

  #draw() {
    const zoom = this.#zooms.at(-1);
    for (const one of this.#buttons) one.setAttribute("aria-pressed", !zoom && Number(one.dataset.hours) === this.#hours);
    // What has the focus must not vanish under it.
    if (!zoom && document.activeElement === this.#back) this.#buttons.find((one) => one.ariaPressed === "true").focus();
    this.#back.hidden = !zoom;
    setText(this.#zoomed, zoom ? FORMAT.formatRange(...zoom) : "");
  }
}

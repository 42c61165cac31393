// A secret that is told once: shown until whoever asked for it has put it away.

import { copyButton } from "../core/copy.js";
import { h } from "../core/dom.js";
import { t } from "../core/texts.js";

/** Show a secret in `#made`, with `words` on what it is and that it is not told again. */
export function showSecret(words, secret) {
  const place = document.getElementById("made");
  const shown = h("code", { text: secret });
  const away = () => {
    place.replaceChildren();
    place.hidden = true;
  };
  place.replaceChildren(
    h("p", { text: words }),
    h("p", { class: "secret-text" }, shown, copyButton(t("settings.copy_secret"), () => secret, () => shown)),
    h("p", {}, h("button", { type: "button", class: "plain", text: t("settings.put_away"), onclick: away })),
  );
  place.hidden = false;
  place.scrollIntoView({ block: "nearest" });
}

// A question before something that cannot be taken back.

import { h } from "./dom.js";
import { t } from "./texts.js";

/** Ask, with `verb` on the button that says yes; whether it was pressed. */
export function confirmed(question, verb) {
  return new Promise((done) => {
    const close = (answer) => () => dialog.close(answer);
    const dialog = h(
      "dialog",
      { class: "ask", "aria-labelledby": "ask-question", onclose: () => (dialog.remove(), done(dialog.returnValue === "yes")) },
      h("p", { id: "ask-question", text: question }),
      h(
        "p",
        { class: "answers" },
        h("button", { type: "button", class: "plain", text: t("common.back"), autofocus: true, onclick: close("") }),
        h("button", { type: "button", class: "plain sure", text: verb, onclick: close("yes") }),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

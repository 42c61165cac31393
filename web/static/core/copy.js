// A text that is taken along.

import { h } from "./dom.js";
import { t } from "./texts.js";

const SHOWN = 2000; // ms that the button says how it went

/** Make a button that copies `text()`, which `shown()`, an element, shows; `title` is its name for who does not see it. */
export function copyButton(title, text, shown) {
  let timer = 0;
  const button = h("button", { type: "button", class: "small copy", text: t("common.copy"), "aria-label": title });
  button.addEventListener("click", async () => {
    const copied = await copy(text(), shown());
    button.textContent = t(copied ? "common.copied" : "common.copy_by_hand");
    clearTimeout(timer);
    timer = setTimeout(() => (button.textContent = t("common.copy")), SHOWN);
  });
  return button;
}

async function copy(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without TLS there is no clipboard but on this machine: what is selected can be copied by the keyboard.
    getSelection().selectAllChildren(element);
    return false;
  }
}

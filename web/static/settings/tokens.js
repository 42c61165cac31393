// The tokens: who may use the API, until when; made and ended here.

import { post, remove, serverNow } from "../core/api.js";
import { bothTimes, h, setMoment, setText, timeText } from "../core/dom.js";
import { chosen } from "../core/filters.js";
import { button } from "../core/frame.js";
import { List } from "../core/list.js";
import { t } from "../core/texts.js";
import { onSubmit } from "./form.js";
import { showSecret } from "./secret.js";
import { deviceAddress, drawWord } from "./words.js";

const DAY = 86400; // s
const element = (id) => document.getElementById(id);

const list = new List("/api/tokens", {
  filters: ["tab", "q", "role", "state"],
  wanted: () => ({ ...chosen, tab: "", order: "desc" }),
  keyOf: ({ id }) => id,
  make,
  update,
  none: () => t(chosen.q || chosen.role || chosen.state ? "settings.tokens.no_match" : "settings.tokens.none"),
});

export const panels = [list.panel];
export const often = [list.panel];

export function ready() {
  list.start();
  element("make-role").addEventListener("change", drawRole);
  drawRole();
  onSubmit("make", "make-problem", create);
}

function drawRole() {
  const role = element("make-role").value;
  element("make-device").hidden = role !== "device";
  element("make-serial").required = role === "device";
  setText(element("make-role-words"), t(`settings.may.${role}`));
}

async function create() {
  const role = element("make-role").value;
  const days = Number(element("make-days").value);
  const made = await post("/api/tokens", {
    name: element("make-name").value.trim(),
    role,
    ...(role === "device" && { serial: element("make-serial").value.trim() }),
    ...(days && { expires_in: days * DAY }),
  });
  showSecret(t("settings.tokens.made", { name: made.name, role: t(`states.${role}`) }), made.token);
  element("make").reset();
  drawRole();
  list.panel.request();
  return t("settings.tokens.created", { name: made.name });
}

function make({ id, name }) {
  const part = (which) => h("span", { class: which });
  const revoke = button(t("settings.revoke"), t("settings.tokens.revoke", { name }), () => remove(`/api/tokens/${id}`), list.panel, {
    confirm: t("settings.tokens.revoke_ask", { name }),
    done: t("settings.tokens.revoked", { name }),
  });
  revoke.classList.add("danger");
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "what" }, part("label"), part("below-name")),
    h("td", { class: "role" }, part("role-word"), h("a", { class: "serial" })),
    h("td", { class: "state" }, part("verdict"), h("span", { class: "buttons" }, revoke)),
    h("td", { class: "time" }, part("created"), part("ends")),
  );
}

function update(row, { id, name, role, serial, created, expires, revoked }) {
  const part = (which) => row.querySelector(`.${which}`);
  const state = revoked ? "revoked" : expires && Date.parse(expires) <= serverNow() ? "expired" : "valid";
  setText(part("label"), name);
  setText(part("below-name"), t("settings.tokens.number", { id }));
  setText(part("role-word"), t(`states.${role}`));
  setText(part("serial"), serial ?? "");
  part("serial").hidden = !serial;
  if (serial) part("serial").href = deviceAddress(serial);
  drawWord(part("verdict"), state);
  part("buttons").hidden = state === "revoked";
  setMoment(part("created"), created);
  const end = revoked ?? expires;
  setText(part("ends"), end ? t(`settings.tokens.until.${state}`, { time: timeText(end) }) : t("settings.tokens.no_end"));
  part("ends").title = end ? bothTimes(end) : "";
}

// A release is uploaded in pieces: one that breaks off goes on where it was when the same file is chosen again.

import { patch, post } from "../core/api.js";
import { addressOf } from "../core/detail.js";
import { setText } from "../core/dom.js";
import { tell } from "../core/frame.js";
import { bytes, percent } from "../core/numbers.js";
import { t } from "../core/texts.js";
import { Sha256 } from "./sha256.js";

const PIECE = 1 << 18; // bytes: seconds over a slow line, some milliseconds of hashing
const TRIES = 4; // of one piece
const PAUSE = 1500; // ms before the next try

const element = (id) => document.getElementById(id);
const isPassing = ({ status }) => status === undefined || status >= 500;
let wanted = null; // the file that is under way

/** Start the form; `releases` look again once one is there. */
export function startUpload(role, releases) {
  element("upload").hidden = role !== "admin";
  element("upload-stop").addEventListener("click", () => (wanted = null));
  element("upload-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    await upload(element("upload-file").files[0]).catch((error) => setText(element("upload-problem"), error.message));
    show(false);
    releases.request();
  });
}

function show(isGoing) {
  element("upload-form").querySelector(".going").hidden = !isGoing;
  element("upload-stop").hidden = !isGoing;
  element("upload-start").disabled = element("upload-file").disabled = isGoing;
  if (!isGoing) wanted = null;
}

function progress(text, done, size) {
  element("upload-bar").value = size ? done / size : 1;
  setText(element("upload-told"), text);
}

async function upload(file) {
  wanted = file;
  setText(element("upload-problem"), "");
  show(true);
  const sha256 = await hash(file);
  if (!sha256) return;
  const begun = await post("/api/releases/uploads", { size: file.size, sha256, name: file.name });
  const release = begun.release ?? (await send(file, `/api/releases/uploads/${begun.id}`, begun.offset));
  if (!release) return;
  tell(t("updates.upload_done", { version: release }), true);
  element("upload-form").reset();
  element("upload").open = false;
  location.hash = addressOf("release", release);
}

const piece = async (file, at) => new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer());

/** The SHA-256 of a file; empty when it was stopped. */
async function hash(file) {
  const sum = new Sha256();
  for (let at = 0; at < file.size; at += PIECE) {
    if (wanted !== file) return "";
    sum.update(await piece(file, at));
    progress(t("updates.upload_reading", { share: percent(at / file.size) }), at, file.size);
  }
  return sum.hex();
}

/** Send from `offset` on; the version, empty when it was stopped. */
async function send(file, path, offset) {
  let at = offset;
  for (;;) {
    if (wanted !== file) return "";
    const isLast = at >= file.size;
    progress(isLast ? t("updates.upload_checking") : t("updates.upload_sent", { done: bytes(at), size: bytes(file.size) }), at, file.size);
    const told = await sendPiece(path, at, await piece(file, at));
    if (told.release) return told.release;
    if (isLast) throw new Error(t("updates.upload_unfinished"));
    at = told.offset;
  }
}

async function sendPiece(path, at, content) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await patch(path, content, { "Upload-Offset": String(at), "Content-Type": "application/octet-stream" });
    } catch (error) {
      if (tries >= TRIES || !isPassing(error)) throw error;
      await new Promise((done) => setTimeout(done, PAUSE * tries));
    }
  }
}

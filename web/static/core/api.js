// Requests to the API of the server this page came from, and the server's clock.

import { t } from "./texts.js";

let skew = 0;

/** Milliseconds since 1970 by the server's clock: ages must not depend on the clock of whoever looks. */
export const serverNow = () => Date.now() + skew;

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function request(method, path, body, headers = {}) {
  const isBytes = body instanceof Uint8Array;
  const answer = await asked(path, {
    method,
    headers: method === "GET" ? {} : { "X-Muster-CSRF": "1", ...(body && !isBytes && { "Content-Type": "application/json" }), ...headers },
    body: body && !isBytes ? JSON.stringify(body) : body,
    signal: AbortSignal.timeout(15000),
  });
  const date = Date.parse(answer.headers.get("Date"));
  // The header has whole seconds: half a second is the best guess of what was cut off.
  if (date) skew = Math.abs(date + 500 - Date.now()) > 2000 ? date + 500 - Date.now() : 0;
  if (answer.status === 401) location.replace(`/login?${new URLSearchParams({ next: location.pathname + location.search })}`);
  const told = answer.status === 204 ? null : await read(answer);
  // Health answers 503 with its usual body when the server cannot serve.
  if (!answer.ok && told?.error) throw new ApiError(answer.status, told.error.message);
  return told;
}

/** What browsers say of a request that came to nothing is in no language that this page was asked for. */
async function asked(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    throw new Error(t(error.name === "TimeoutError" ? "common.timed_out" : "common.unreachable"), { cause: error });
  }
}

/** What an answer says; a proxy that speaks for a server that is away does not say it in JSON. */
async function read(answer) {
  try {
    return await answer.json();
  } catch (error) {
    throw new Error(t("common.no_answer", { status: answer.status }), { cause: error });
  }
}

export const get = (path) => request("GET", path);
export const post = (path, body) => request("POST", path, body);
export const put = (path, body) => request("PUT", path, body);
/** `body` may be bytes. */
export const patch = (path, body, headers) => request("PATCH", path, body, headers);
export const remove = (path) => request("DELETE", path);

/** A path in which every segment is escaped, slashes between them kept. */
export const escapePath = (path) => path.split("/").map(encodeURIComponent).join("/");

// Requests to the API of the server this page came from, and the server's clock.

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
  const answer = await fetch(path, {
    method,
    headers: method === "GET" ? {} : { "X-Muster-CSRF": "1", ...(body && !isBytes && { "Content-Type": "application/json" }), ...headers },
    body: body && !isBytes ? JSON.stringify(body) : body,
    signal: AbortSignal.timeout(15000),
  });
  const date = Date.parse(answer.headers.get("Date"));
  // The header has whole seconds: half a second is the best guess of what was cut off.
  if (date) skew = Math.abs(date + 500 - Date.now()) > 2000 ? date + 500 - Date.now() : 0;
  if (answer.status === 401) location.replace(`/login?${new URLSearchParams({ next: location.pathname + location.search })}`);
  const told = answer.status === 204 ? null : await answer.json();
  // Health answers 503 with its usual body when the server cannot serve.
  if (!answer.ok && told?.error) throw new ApiError(answer.status, told.error.message);
  return told;
}

export const get = (path) => request("GET", path);
export const post = (path, body) => request("POST", path, body);
export const put = (path, body) => request("PUT", path, body);
/** `body` may be bytes. */
export const patch = (path, body, headers) => request("PATCH", path, body, headers);
export const remove = (path) => request("DELETE", path);

/** A path in which every segment is escaped, slashes between them kept. */
export const escapePath = (path) => path.split("/").map(encodeURIComponent).join("/");

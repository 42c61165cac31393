// The example of an operation as a line for a shell, where `$url` and `$auth` are set as the page tells.

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A command that makes the request of the example. */
export function curl({ path, method, operation }) {
  const given = (place) => operation.parameters.filter((each) => each.in === place && "example" in each);
  const values = Object.fromEntries(given("path").map(({ name, example }) => [name, example]));
  // A path stands for several levels of the tree.
  const address = path.replace(/\{(\w+)\}/g, (_, name) => values[name].split("/").map(encodeURIComponent).join("/"));
  const query = given("query").map(({ name, example }) => `${name}=${encodeURIComponent(example).replaceAll("%3A", ":").replaceAll("%2C", ",")}`);
  const [media, answer] = Object.entries(Object.values(operation.responses)[0].content ?? {})[0] ?? [];
  const parts = [`curl -s${answer && media === "text/event-stream" ? "N" : ""}`];
  if (method !== "get") parts.push(`-X ${method.toUpperCase()}`);
  if (operation.security.length) parts.push('-H "$auth"');
  parts.push(`"$url${address}${query.length ? `?${query.join("&")}` : ""}"`);
  for (const { name, example } of given("header")) parts.push(`-H ${quoted(`${name}: ${example}`)}`);
  const body = operation.requestBody?.content ?? {};
  if ("application/json" in body) parts.push(`-d ${quoted(JSON.stringify(body["application/json"].example))}`);
  if ("application/octet-stream" in body) parts.push("--data-binary @FILE");
  if (media === "application/octet-stream") parts.push("-o FILE");
  return parts.join(" ");
}

// The page is made of /openapi.json alone, and of nodes: nothing that is read becomes markup.
const SHOWN_HEADERS = ["X-Request-ID", "ETag", "RateLimit-Limit", "RateLimit-Remaining",
  "RateLimit-Reset", "Retry-After", "Idempotency-Replayed", "Content-Type"];
const LIMITS = { minimum: "≥ ", maximum: "≤ ", minLength: "min. length ", maxLength: "max. length ",
  minItems: "min. items ", maxItems: "max. items ", maxProperties: "max. entries " };
const JSON_TYPE = "application/json";
let api; // the document
let session = null; // the tokens live here only
let renewal = null;

const find = (selector) => document.querySelector(selector);

/** An element by "tag.class": properties are set on it, children are nodes, text or null. */
function el(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = Object.assign(document.createElement(tag), properties);
  if (classes.length) node.className = classes.join(" ");
  node.append(...children.flat(Infinity).filter(Boolean));
  return node;
}

/** Text with an element around each group that the pattern finds. */
const marked = (text, pattern, name) =>
  text.split(pattern).map((part, i) => (i % 2 ? el(name, {}, part) : part));
const prose = (text) => marked(text, /`{1,2}([^`]+)`{1,2}/, "code");
const indented = (json) =>
  marked(JSON.stringify(json, null, 2), /^( *"(?:[^"\\]|\\.)*")(?=: )/m, "span.key");

/** A closed fold; its inside is made when it is first opened, as shapes may hold themselves. */
function fold(name, properties, summary, makeInside) {
  const node = el(name, properties, el("summary", {}, summary));
  node.addEventListener("toggle", () => node.append(makeInside()), { once: true });
  return node;
}

/** Text that scrolls in itself, under its title and a button that copies it. */
function codeBlock(title, ...content) {
  const label = title.textContent ?? title;
  const text = el("pre", { tabIndex: 0, role: "region", ariaLabel: label }, ...content);
  const button = el("button.copy", { type: "button", title: label }, "Copy");
  button.addEventListener("click", () => {
    getSelection().selectAllChildren(text);
    // navigator.clipboard is closed to plain HTTP, which is what a server at hand speaks.
    button.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return { node: el("div.code", {}, el("div.bar", {}, title, button), text), text };
}

const resolve = (schema) => (schema.$ref
  ? schema.$ref.split("/").slice(1).reduce((node, name) => node[name], api) : schema);

/** What a schema says besides "or null". */
function withoutNull(schema) {
  const { anyOf = [], ...rest } = resolve(schema);
  const kinds = anyOf.filter((kind) => kind.type !== "null");
  return kinds.length === 1 ? { ...rest, ...resolve(kinds[0]) } : resolve(schema);
}

function typeOf(schema) {
  const shape = resolve(schema);
  if (shape.anyOf) return shape.anyOf.map(typeOf).join(" or ");
  if (shape.enum) return shape.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in shape) return JSON.stringify(shape.const);
  if (shape.type === "array") return `list of ${typeOf(shape.items)}`;
  if (shape.additionalProperties) return `map of ${typeOf(shape.additionalProperties)}`;
  return shape.title ?? shape.format ?? shape.type ?? "anything";
}

function limitsOf(schema) {
  const { pattern, description, default: preset, examples } = schema;
  const known = Object.keys(LIMITS).filter((name) => Number.isSafeInteger(schema[name]));
  return [...known.map((name) => LIMITS[name] + schema[name]),
    pattern && !description && `matches ${pattern}`,
    preset != null && `default ${JSON.stringify(preset)}`,
    examples && `for example ${JSON.stringify(examples[0])}`];
}

/** The object that a schema is, or that its list or map holds; null where there is none. */
function objectIn(schema) {
  const shape = withoutNull(schema);
  const held = shape.items ?? shape.additionalProperties;
  if (held) return objectIn(held);
  return Object.keys(shape.properties ?? {}).length ? shape : null;
}

function fieldRow(name, schema, required, description) {
  const shape = withoutNull(schema);
  const words = (description ?? shape.description)?.replace(/\.$/, "");
  const told = [words, ...limitsOf(shape)].filter(Boolean).join(" · ");
  const inside = objectIn(schema);
  return el("li", {},
    el("code.name", {}, name), " ", el("span.type", {}, typeOf(schema)), " ",
    required && el("span.required", {}, "required"),
    inside ? shapeFold(told || inside.title, inside) : told && el("p", {}, prose(told)));
}

const shapeFold = (text, shape) => fold("details.fold", {}, prose(text), () => fieldList(shape));
const fieldList = ({ properties, required = [] }) => el("ul.fields", {}, Object.entries(properties)
  .map(([name, schema]) => fieldRow(name, schema, required.includes(name))));

/** What came back, its body read; a failure of the network is told like an answer. */
async function call({ method, path, headers: sent = {}, body }) {
  const began = performance.now();
  const told = { status: 0, line: "No answer", headers: new Headers(), json: null };
  try {
    const answer = await fetch(path, { method, headers: sent, body, cache: "no-store" });
    const { status, statusText, headers } = answer;
    const text = await answer.text();
    const json = headers.get("Content-Type")?.startsWith(JSON_TYPE) ? JSON.parse(text) : null;
    Object.assign(told, { status, line: `${status} ${statusText}`, headers, text, json });
  } catch (error) {
    told.text = String(error);
  }
  return { ...told, ms: Math.round(performance.now() - began) };
}

const post = (path, data) => call({ method: "POST", path, body: JSON.stringify(data),
  headers: { "Content-Type": JSON_TYPE } });
const sentence = ({ line, json, text }) =>
  (json?.error ? `${line}: ${json.error.message} (${json.error.code})` : `${line}: ${text}`);

function signedIn(data, note = "") {
  session = data;
  document.body.classList.toggle("signed-in", Boolean(data));
  find("#who").textContent = data?.user.email ?? "";
  find("#note").textContent = note;
}

/** New tokens for the spent ones; calls that need them at the same time share one renewal. */
async function renew() {
  const answer = await post("/auth/refresh", { refreshToken: session.refreshToken });
  if (answer.status === 200) Object.assign(session, answer.json.data);
  if (answer.status === 401) signedIn(null, "Your session has ended. Sign in again.");
  return answer.status === 200;
}

/** A call with the token where it takes one; a token that has expired is renewed once. */
async function callSigned(request) {
  const signs = request.signed && session;
  const withToken = () => call(!signs ? request : { ...request,
    headers: { ...request.headers, Authorization: `Bearer ${session?.accessToken}` } });
  let answer = await withToken();
  if (signs && answer.json?.error?.code === "unauthenticated") {
    renewal ??= renew().finally(() => { renewal = null; });
    if (await renewal) answer = await withToken();
  }
  // Whoever signs up, signs in or renews by hand is signed in here, too.
  const tokens = answer.json?.data;
  if (tokens?.accessToken && (tokens.user || session)) signedIn({ ...session, ...tokens });
  return answer;
}

function watchSession() {
  find("#sign-in").addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await post("/auth/login", Object.fromEntries(new FormData(event.target)));
    signedIn(...(answer.status === 200 ? [answer.json.data] : [null, sentence(answer)]));
    if (session) event.target.reset();
  });
  find("#sign-out").addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await post("/auth/logout", { refreshToken: session.refreshToken });
    signedIn(null, answer.status === 200 ? "Signed out." : sentence(answer));
  });
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
function curl({ method, path, headers, body, signed }) {
  const parts = [`curl -i -X ${method} ${quoted(location.origin + path)}`];
  if (signed) parts.push('-H "Authorization: Bearer $TOKEN"');
  for (const pair of Object.entries(headers)) parts.push(`-H ${quoted(pair.join(": "))}`);
  if (body) parts.push(`--data-raw ${quoted(body)}`);
  return parts.join(" \\\n  ").replace(" -X GET", "");
}

function inputFor({ name, schema, required }) {
  const { enum: values, type, format, default: preset } = withoutNull(schema);
  if (values) return el("select", {}, ["", ...values].map((value) => el("option", {}, value)));
  return el("input", { required: Boolean(required), autocomplete: "off", spellcheck: false,
    type: format === "date" ? "date" : "text", inputMode: type === "integer" ? "numeric" : "text",
    placeholder: preset ?? "" });
}

/** Type, schema and example of the body, if there is one. */
function bodyOf({ requestBody }) {
  const [type, media] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  return { type, ...media };
}

/** What the form says now. */
function requestOf(operation, inputs, body) {
  const { method, path, parameters, signed } = operation;
  const asked = { method, path, signed, headers: {}, body: body?.value.trim() };
  const query = new URLSearchParams();
  parameters.forEach(({ name, in: place }, i) => {
    const value = inputs[i].value.trim();
    if (value === "") return;
    if (place === "path") asked.path = asked.path.replace(`{${name}}`, encodeURIComponent(value));
    if (place === "query") query.set(name, value);
    if (place === "header") asked.headers[name] = value;
  });
  if (query.size) asked.path += `?${query}`;
  if (asked.body) asked.headers["Content-Type"] = bodyOf(operation).type;
  return asked;
}

function tryForm(operation) {
  const inputs = operation.parameters.map(inputFor);
  const { type, example = {} } = bodyOf(operation);
  const value = type === JSON_TYPE
    ? JSON.stringify(example, null, 2) : new URLSearchParams(example).toString();
  const body = type && el("textarea", { value, rows: value.split("\n").length + 1 });
  const line = codeBlock("The same with curl");
  const status = el("p.status", { role: "status" });
  const rest = el("div");
  const form = el("form.try", {}, el("h4", {}, "Try it"),
    operation.signed && el("p.hint", {}, "Sign in at the top of the page first."),
    operation.parameters.map(({ name }, i) => el("label", {}, name, inputs[i])),
    body && el("label", {}, "Body", body), el("button", {}, "Send"), status, rest, line.node);
  const request = () => requestOf(operation, inputs, body);
  const showCurl = () => { line.text.textContent = curl(request()); };
  form.addEventListener("input", showCurl);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.ariaBusy) return;
    form.ariaBusy = "true";
    const { status: code, line: words, ms, headers, json, text } = await callSigned(request());
    form.ariaBusy = null;
    const kind = code >= 200 && code < 400 ? "good" : "bad";
    status.replaceChildren(el(`strong.${kind}`, {}, words), ` in ${ms} ms`);
    rest.replaceChildren(
      el("dl", {}, SHOWN_HEADERS.filter((name) => headers.has(name))
        .map((name) => [el("dt", {}, name), el("dd", {}, headers.get(name))])),
      codeBlock("Body of the answer", json === null ? text : indented(json)).node);
  });
  showCurl();
  return form;
}

/** The answers by status; those of one shape, as all errors are, stand together. */
function answersOf({ responses }) {
  const groups = new Map();
  for (const [status, { description, content = {} }] of Object.entries(responses)) {
    const [media = "no body", { schema = null } = {}] = Object.entries(content)[0] ?? [];
    const key = media + JSON.stringify(schema);
    if (!groups.has(key)) groups.set(key, { media, schema, statuses: [] });
    groups.get(key).statuses.push(el("span", {}, el("code", {}, status), ` ${description}`));
  }
  return el("ul.answers", {}, [...groups.values()].map(({ media, schema, statuses }) => {
    const shape = schema && objectIn(schema);
    const words = shape && `${media}: ${typeOf(shape.properties.data ?? schema)}`;
    return el("li", {}, el("div.statuses", {}, statuses),
      shape ? shapeFold(words, shape) : el("p", {}, media));
  }));
}

function operationNode(operation) {
  const { id, method, path, summary, signed, parameters } = operation;
  const { schema: described } = bodyOf(operation);
  const shape = described && resolve(described);
  const head = [
    el("h3", {}, el(`span.method.${method}`, {}, method), " ", el("code", {}, path)),
    el("span", {}, summary), el("span.policy", {}, signed ? "needs a token" : "open to all")];
  return fold("details.operation", { id }, head, () => el("div.inside", {}, el("div", {},
    parameters.length > 0 && el("h4", {}, "Parameters"),
    el("ul.fields", {}, parameters.map(({ name, schema, required, description }) =>
      fieldRow(name, withoutNull(schema), required, description))),
    shape && [el("h4", {}, "Body"), el("p", {}, prose(shape.description)), fieldList(shape)],
    el("h4", {}, "Answers"), answersOf(operation)), tryForm(operation)));
}

function showTag({ name: tag, description }) {
  const operations = Object.entries(api.paths).flatMap(([path, methods]) => Object.entries(methods)
    .filter(([, operation]) => operation.tags.includes(tag))
    .map(([method, operation]) => ({ ...operation, path, method: method.toUpperCase(),
      id: operation.operationId, signed: Boolean(operation.security) })));
  find("nav").append(el("h2", {}, tag), el("ul", {}, operations.map(({ id, method, summary }) =>
    el("li", {}, el("a", { href: `#${id}` }, el(`span.method.${method}`, {}, method), summary)))));
  find("#operations").append(el("section", {}, el("h2", {}, tag), el("p", {}, prose(description)),
    operations.map(operationNode)));
}

function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target?.matches("details")) { target.open = true; target.scrollIntoView(); }
}

async function start() {
  watchSession();
  for (const step of document.querySelectorAll(".steps li")) {
    const [title, { textContent: text }] = step.children;
    const here = text.replace("http://127.0.0.1:3000", location.origin);
    step.replaceChildren(codeBlock(title, here).node);
  }
  const answer = await call({ method: "GET", path: "/openapi.json" });
  if (answer.status !== 200) return find("#introduction").append(sentence(answer));
  api = answer.json;
  document.title = find("h1").textContent = api.info.title;
  find("#version").textContent = `version ${api.info.version}`;
  find("#introduction").append(
    ...api.info.description.trim().split(/\n\n+/).map((text) => el("p", {}, prose(text))));
  api.tags.forEach(showTag);
  find("#contents").open = matchMedia("(min-width: 60rem)").matches;
  addEventListener("hashchange", openTarget);
  openTarget();
}

start();

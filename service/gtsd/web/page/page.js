"use strict";

// The page is made of /openapi.json alone, and of nodes: nothing that is read becomes markup.
const SHOWN_HEADERS = ["X-Request-ID", "ETag", "RateLimit-Limit", "RateLimit-Remaining",
  "RateLimit-Reset", "Retry-After", "Idempotency-Replayed", "Content-Type"];
const LIMITS = { minimum: "≥ ", maximum: "≤ ", minLength: "min. length ", maxLength: "max. length ",
  minItems: "min. items ", maxItems: "max. items ", maxProperties: "max. entries " };

const find = (selector, node = document) => node.querySelector(selector);

/** An element by "tag.class": properties are set on it, children are nodes, text or null. */
function el(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = Object.assign(document.createElement(tag), properties);
  if (classes.length) node.className = classes.join(" ");
  node.append(...children.flat().filter((child) => child !== null));
  return node;
}

/** Text in which `code` is marked. */
const prose = (text) =>
  text.split(/`{1,2}([^`]+)`{1,2}/).map((part, i) => (i % 2 ? el("code", {}, part) : part));

/** A closed fold; its inside is made when it is first opened, as shapes may hold themselves. */
function fold(name, properties, summary, makeInside) {
  const node = el(name, properties, el("summary", {}, summary));
  node.addEventListener("toggle", () => node.append(makeInside()), { once: true });
  return node;
}

/** Text that scrolls in itself, with a button that copies it. */
function codeBlock(label, ...content) {
  const text = el("pre", { tabIndex: 0, role: "region", ariaLabel: label }, ...content);
  const button = el("button.copy", { type: "button", ariaLabel: `Copy: ${label}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch { // Not a secure context, or not allowed: the keyboard can still copy a selection.
      getSelection().selectAllChildren(text);
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return { node: el("div.code", {}, text, button), text };
}

/** JSON as indented nodes. It is not parsed: large numbers and the order stay as they came. */
function indented(json) {
  const nodes = [];
  let depth = 0;
  const line = () => "\n" + "  ".repeat(depth);
  const tokens = /("(?:[^"\\]|\\.)*")\s*(:?)|[{[]\s*[}\]]|[{}[\],]|[^\s{}[\],"]+/g;
  for (const [token, string, colon] of json.matchAll(tokens)) {
    if (colon) nodes.push(el("span.key", {}, string), ": ");
    else if (token === "{" || token === "[") { depth += 1; nodes.push(token, line()); }
    else if (token === "}" || token === "]") { depth -= 1; nodes.push(line(), token); }
    else nodes.push(token === "," ? token + line() : token);
  }
  return nodes;
}

// ---- Shapes ---------------------------------------------------------------------------------

let api; // the document

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
  const told = Object.entries(LIMITS)
    .filter(([name]) => Math.abs(schema[name]) <= Number.MAX_SAFE_INTEGER)
    .map(([name, words]) => words + schema[name]);
  if (schema.pattern && !schema.description) told.push(`matches ${schema.pattern}`);
  if (schema.default != null) told.push(`default ${JSON.stringify(schema.default)}`);
  if (schema.examples) told.push(`for example ${JSON.stringify(schema.examples[0])}`);
  return told.join(", ");
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
  const told = [description ?? shape.description, limitsOf(shape)].filter(Boolean).join("; ");
  const inside = objectIn(schema);
  return el("li", {},
    el("code.name", {}, name), " ", el("span.type", {}, typeOf(schema)), " ",
    required ? el("span.required", {}, "required") : null,
    inside ? shapeFold(told || inside.title, inside)
      : told && el("p", {}, prose(told)));
}

const shapeFold = (summary, shape) =>
  fold("details.fold", {}, prose(summary), () => fieldList(shape));

const fieldList = ({ properties, required = [] }) => el("ul.fields", {}, Object.entries(properties)
  .map(([name, schema]) => fieldRow(name, schema, required.includes(name))));

// ---- Session: the tokens live in this variable only ------------------------------------------

let session = null;
let renewal = null;

function signedIn(data, note = "") {
  session = data;
  find("#sign-in").hidden = Boolean(data);
  find("#sign-out").hidden = !data;
  find("#sign-out strong").textContent = data?.user.email ?? "";
  find("#note").textContent = note;
  document.body.classList.toggle("signed-in", Boolean(data));
}

/** What came back, its body read; a failure of the network is told like an answer. */
async function call({ method, path, headers = {}, body }) {
  const began = performance.now();
  try {
    const answer = await fetch(path, { method, headers, body, cache: "no-store" });
    const text = await answer.text();
    const json = answer.headers.get("Content-Type")?.startsWith("application/json");
    return { status: answer.status, line: `${answer.status} ${answer.statusText}`.trim(),
      headers: answer.headers, text, json: json && text ? JSON.parse(text) : null,
      ms: Math.round(performance.now() - began) };
  } catch (error) {
    return { status: 0, line: "No answer", headers: new Headers(), text: error.message, json: null,
      ms: Math.round(performance.now() - began) };
  }
}

const post = (path, data) => call({ method: "POST", path, body: JSON.stringify(data),
  headers: { "Content-Type": "application/json" } });
const sentence = ({ line, json, text }) =>
  (json?.error ? `${line}: ${json.error.message} (${json.error.code})` : `${line} ${text}`);

/** New tokens for the spent ones; calls that need them at the same time share one renewal. */
async function renew() {
  const answer = await post("/auth/refresh", { refreshToken: session.refreshToken });
  if (answer.status === 200) Object.assign(session, answer.json.data);
  if (answer.status === 401) signedIn(null, "Your session has ended. Sign in again.");
  return answer.status === 200;
}

/** A call with the token where it takes one; a token that has expired is renewed once. */
async function callSigned(request) {
  const withToken = () => call(!request.signed || !session ? request : { ...request,
    headers: { ...request.headers, Authorization: `Bearer ${session.accessToken}` } });
  let answer = await withToken();
  if (request.signed && session && answer.json?.error?.code === "unauthenticated") {
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
    const { email, password } = Object.fromEntries(new FormData(event.target));
    const answer = await post("/auth/login", { email, password });
    if (answer.status === 200) { event.target.reset(); signedIn(answer.json.data); }
    else find("#note").textContent = sentence(answer);
  });
  find("#sign-out").addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await post("/auth/logout", { refreshToken: session.refreshToken });
    signedIn(null, answer.status === 200 ? "Signed out." : sentence(answer));
  });
}

// ---- One operation ---------------------------------------------------------------------------

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

/** What the form says now. */
function requestOf({ method, path, parameters, signed }, inputs, body) {
  const request = { method, path, signed, headers: {} };
  const query = new URLSearchParams();
  parameters.forEach(({ name, in: place }, i) => {
    const value = inputs[i].value.trim();
    if (value === "") return;
    if (place === "path") request.path = path.replace(`{${name}}`, encodeURIComponent(value));
    if (place === "query") query.set(name, value);
    if (place === "header") request.headers[name] = value;
  });
  if (query.size) request.path += `?${query}`;
  if (body?.value.trim()) {
    request.headers["Content-Type"] = "application/json";
    request.body = body.value.trim();
  }
  return request;
}

function answerNodes({ headers, json, text }) {
  const shown = SHOWN_HEADERS.filter((name) => headers.has(name));
  return [
    el("dl", {}, shown.map((name) => [el("dt", {}, name), el("dd", {}, headers.get(name))])),
    codeBlock("Body of the answer", json === null ? text : indented(text)).node,
  ];
}

function tryForm(operation) {
  const inputs = operation.parameters.map(inputFor);
  const media = operation.requestBody?.content["application/json"];
  const example = JSON.stringify(media?.example ?? {}, null, 2);
  const body = media
    ? el("textarea", { value: example, rows: example.split("\n").length, spellcheck: false }) : null;
  const line = codeBlock("The same with curl");
  const status = el("p.status", { role: "status" });
  const rest = el("div");
  const form = el("form.try", {}, el("h4", {}, "Try it"),
    operation.signed ? el("p.hint", {}, "Sign in at the top of the page first.") : null,
    operation.parameters.map(({ name }, i) => el("label", {}, name, inputs[i])),
    body && el("label", {}, "Body", body), el("button", {}, "Send"), status, rest, line.node);
  const request = () => requestOf(operation, inputs, body);
  const showCurl = () => { line.text.textContent = curl(request()); };
  form.addEventListener("input", showCurl);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.ariaBusy) return;
    form.ariaBusy = "true";
    const answer = await callSigned(request());
    form.ariaBusy = null;
    const kind = answer.status >= 200 && answer.status < 400 ? "good" : "bad";
    status.replaceChildren(el(`strong.${kind}`, {}, answer.line), ` in ${answer.ms} ms`);
    rest.replaceChildren(...answerNodes(answer));
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
    return el("li", {}, el("div.statuses", {}, statuses),
      shape ? shapeFold(`${media}: ${typeOf(shape)}`, shape) : el("p", {}, media));
  }));
}

function operationNode(operation) {
  const { id, method, path, summary, signed, parameters, requestBody } = operation;
  const shape = requestBody && resolve(requestBody.content["application/json"].schema);
  const head = [
    el("h3", {}, el(`span.method.${method}`, {}, method), " ", el("code", {}, path)),
    el("span", {}, summary), el("span.policy", {}, signed ? "needs a token" : "open to all")];
  return fold("details.operation", { id }, head, () => el("div.inside", {}, el("div", {},
    parameters.length ? el("h4", {}, "Parameters") : null,
    el("ul.fields", {}, parameters.map((parameter) => fieldRow(
      parameter.name, parameter.schema, parameter.required, parameter.description))),
    shape ? [el("h4", {}, "Body"), el("p", {}, prose(shape.description)), fieldList(shape)] : null,
    el("h4", {}, "Answers"), answersOf(operation)), tryForm(operation)));
}

// ---- The page --------------------------------------------------------------------------------

function operationsOf(tag) {
  return Object.entries(api.paths).flatMap(([path, methods]) => Object.entries(methods)
    .filter(([, operation]) => operation.tags.includes(tag))
    .map(([method, operation]) => ({ ...operation, path, method: method.toUpperCase(),
      id: operation.operationId, signed: Boolean(operation.security) })));
}

function showTag({ name, description }) {
  const operations = operationsOf(name);
  find("nav").append(el("h2", {}, name), el("ul", {}, operations.map(({ id, method, summary }) =>
    el("li", {}, el("a", { href: `#${id}` }, el(`span.method.${method}`, {}, method), summary)))));
  find("#operations").append(el("section", {}, el("h2", {}, name), el("p", {}, prose(description)),
    operations.map(operationNode)));
}

function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target?.matches("details")) { target.open = true; target.scrollIntoView(); }
}

async function start() {
  watchSession();
  for (const { firstChild: text, parentNode: step } of document.querySelectorAll("ol pre")) {
    text.data = text.data.replace("http://127.0.0.1:3000", location.origin);
    find("pre", step).replaceWith(codeBlock(find("h3", step).textContent, text.data).node);
  }
  const answer = await call({ method: "GET", path: "/openapi.json" });
  if (answer.status !== 200) { find("#introduction").append(sentence(answer)); return; }
  api = answer.json;
  const { title, version, description } = api.info;
  document.title = find("h1").textContent = title;
  find("#version").textContent = version;
  find("#introduction").append(
    ...description.trim().split(/\n\n+/).map((text) => el("p", {}, prose(text))));
  api.tags.forEach(showTag);
  const wide = matchMedia("(min-width: 60rem)");
  const unfold = () => { find("#contents").open = wide.matches; };
  wide.addEventListener("change", unfold);
  unfold();
  addEventListener("hashchange", openTarget);
  openTarget();
}

start();

// Nodes, numbers and times. Text from Prometheus becomes text nodes and attributes, never markup.
const SVG = "http://www.w3.org/2000/svg";
const natural = new Intl.Collator("en", { numeric: true }).compare;
const find = (selector) => document.querySelector(selector);

/** An element by "tag.class"; attributes are set, children are nodes, text or null. */
function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name.split(".")[0]), name, attributes, children);
}

function draw(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name.split(".")[0]), name, attributes, children);
}

function filled(node, name, attributes, children) {
  const classes = name.split(".").slice(1).join(" ");
  if (classes) node.setAttribute("class", classes);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== ""));
  return node;
}

/** Three digits, and more where a number has more before its point. */
function digits(value) {
  const size = Math.abs(value);
  return value.toLocaleString("en", size >= 100 ? { maximumFractionDigits: 0 }
    : { maximumSignificantDigits: 3 });
}

const UNITS = {
  rate: (value) => `${digits(value)}/s`,
  count: (value) => digits(value),
  share: (value) => `${digits(100 * value)} %`,
  seconds: (value) => (value === 0 ? "0 s" : Math.abs(value) < 1 ? `${digits(1000 * value)} ms`
    : value < 120 ? `${digits(value)} s` : duration(value)),
};

/** The two largest parts: "3 h 12 min". */
function duration(seconds) {
  const left = Math.max(0, Math.round(seconds));
  if (left < 60) return `${left} s`;
  const minutes = Math.floor(left / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours < 240 && hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h`
    : `${Math.floor(hours / 24)} days`;
}

const stamp = (at) => new Date(at * 1000).toISOString();
const clock = (at) => stamp(at).slice(11, 16);
const clockWithSeconds = (at) => stamp(at).slice(11, 19);
const day = (at) => new Date(at * 1000).toLocaleDateString("en-GB",
  { day: "numeric", month: "short", timeZone: "UTC" });
/** With its day where that is not today's. */
const moment = (at) => (stamp(at).slice(0, 10) === stamp(Date.now() / 1000).slice(0, 10)
  ? clock(at) : `${day(at)} ${clock(at)}`);

/** "{instance}" becomes what the label says. */
const named = (pattern, labels) => pattern.replace(/\{(\w+)\}/g, (_, key) => labels[key] ?? "");

// Lines over time, each plot with its axes, release marks, and a table that tells the values.
const HEIGHT = 190;
const EDGE = { top: 18, bottom: 24, left: 62, right: 12 };
const STEPS_S = [300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400, 172800];
const TONE_COUNT = 8;
const ALARMING = /^(5xx|dead)$/;
let cursor = null; // the second that a person points at, in all plots at once

/** Round numbers from 0 to at least the greatest value. */
function ticks(greatest, whole) {
  const rough = greatest / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power)
    .find((size) => size >= rough * 0.999 && (!whole || Number.isInteger(size))) ?? 1;
  return Array.from({ length: Math.ceil(greatest / step - 0.001) + 1 }, (_, index) => index * step);
}

function tone(label, index) {
  if (ALARMING.test(label)) return "tone-bad";
  return `tone-${index % TONE_COUNT}${index >= TONE_COUNT ? " dashed" : ""}`;
}

/** What a line says at a time: its point that is nearest, unless that is in a gap. */
function valueAt({ points }, when, step) {
  const near = points.reduce((a, b) => (Math.abs(b[0] - when) < Math.abs(a[0] - when) ? b : a));
  return Math.abs(near[0] - when) <= step ? near[1] : null;
}

class Plot {
  constructor(plan, index) {
    this.plan = plan;
    this.svg = draw("svg", { role: "img", tabindex: 0, "aria-labelledby": `plot-${index}`,
      "aria-describedby": `told-${index}` });
    this.said = el("p.said", { id: `told-${index}` }, "Prometheus is asked …");
    this.at = el("th.n", { scope: "col" }, "Now");
    this.rows = el("tbody");
    this.table = el("table.values", {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Line"), this.at,
        el("th.n", { scope: "col" }, "Least"), el("th.n", { scope: "col" }, "Most"))), this.rows);
    this.table.hidden = true;
    this.node = el("figure", { "data-plot": plan.title, "aria-labelledby": `plot-${index}` },
      el("figcaption", {}, el("h3", { id: `plot-${index}` }, plan.title), el("span", {}, plan.told)),
      el("div.stage", {}, this.svg, this.said), this.table);
    this.svg.addEventListener("pointermove", (event) => this.pointed(event));
    this.svg.addEventListener("pointerleave", () => pointAt(null));
    this.svg.addEventListener("keydown", (event) => this.pressed(event));
    this.svg.addEventListener("blur", () => pointAt(null));
  }

  async load(span) {
    return tried(Promise.all(this.plan.lines.map(({ query }) => over(query, span))));
  }

  show({ found, fault }, span, releases) {
    const lines = (found ?? []).flatMap((series, index) => series.map(({ labels, points }) =>
      ({ label: named(this.plan.lines[index].label, labels), points })));
    if (this.plan.lines.length === 1) lines.sort((a, b) => natural(a.label, b.label));
    this.lines = lines.map((line, index) => ({ ...line, tone: tone(line.label, index) }));
    Object.assign(this, { span, releases, fault });
    this.paint();
  }

  format(value) {
    return value === null ? "–" : UNITS[this.plan.unit](value);
  }

  x(when) {
    return EDGE.left + (when - this.span.from) / (this.span.to - this.span.from) * this.across;
  }

  y(value) {
    return HEIGHT - EDGE.bottom - value / this.top * (HEIGHT - EDGE.top - EDGE.bottom);
  }

  paint() {
    if (!this.span) return;
    this.width = Math.max(260, Math.round(this.svg.getBoundingClientRect().width));
    this.across = this.width - EDGE.left - EDGE.right;
    const greatest = Math.max(...this.lines.flatMap(({ points }) => points.map(([, value]) => value)), 0);
    const scale = ticks(Math.max(greatest, this.plan.least ?? 0) || 1, this.plan.unit === "count");
    this.top = scale.at(-1);
    this.line = draw("line.cursor", { y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: "hidden" });
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    const empty = this.lines.length === 0;
    this.svg.replaceChildren(...scale.flatMap((value) => this.level(value, empty)), ...this.times(),
      ...this.marks(), ...this.lines.map((line) => this.curve(line)), this.line);
    this.rows.replaceChildren(...this.lines.map((line) => this.row(line)));
    this.table.hidden = empty;
    this.said.classList.toggle("red", Boolean(this.fault));
    this.said.textContent = this.fault ?? (empty ? this.plan.empty : "");
    this.point();
  }

  level(value, empty) {
    const y = this.y(value);
    const line = draw("line.grid", { x1: EDGE.left, x2: this.width - EDGE.right, y1: y, y2: y });
    return empty ? [] : [line,
      draw("text", { x: EDGE.left - 8, y: y + 4, "text-anchor": "end" }, this.format(value))];
  }

  times() {
    const length = this.span.to - this.span.from;
    const step = STEPS_S.find((seconds) => length / seconds * 62 <= this.across) ?? STEPS_S.at(-1);
    const first = Math.ceil(this.span.from / step) * step;
    const all = Array.from({ length: Math.floor((this.span.to - first) / step) + 1 }, (_, i) => first + i * step);
    return all.map((when) => {
      const x = this.x(when);
      const base = HEIGHT - EDGE.bottom;
      const word = step >= 86400 || when % 86400 === 0 ? day(when) : clock(when);
      const fits = x > EDGE.left + 10 && x < this.width - 22;
      return [draw("line.grid", { x1: x, x2: x, y1: base, y2: base + 5 }),
        fits ? draw("text", { x, y: HEIGHT - 4, "text-anchor": "middle" }, word) : null];
    }).flat().filter(Boolean);
  }

  /** A vertical line where another version began to serve, named where there is room. */
  marks() {
    let free = EDGE.left;
    return this.releases.flatMap(({ when, version: name }) => {
      const x = this.x(when);
      const room = 7 * name.length;
      const start = Math.min(x, this.width - EDGE.right - room);
      const told = draw("title", {}, `${name} began to serve, ${moment(when)} UTC`);
      const mark = draw("line.mark", { x1: x, x2: x, y1: EDGE.top - 4, y2: HEIGHT - EDGE.bottom }, told);
      if (start < free) return [mark];
      free = start + room + 6;
      return [mark, draw("text.release", { x: start, y: 10 }, name)];
    });
  }

  /** Broken where nothing was measured; a point alone is a short dash, or nobody would see it. */
  curve({ points, label, tone: name }) {
    const parts = points.map(([when, value], index) => {
      const [x, y] = [this.x(when).toFixed(1), this.y(value).toFixed(1)];
      const begins = index === 0 || when - points[index - 1][0] > 1.5 * this.span.step;
      const ends = index === points.length - 1 || points[index + 1][0] - when > 1.5 * this.span.step;
      return `${begins ? "M" : "L"}${x} ${y}${begins && ends ? "h2" : ""}`;
    });
    return draw("path", { class: `curve ${name}`, d: parts.join("") }, draw("title", {}, label));
  }

  row({ points, label, tone: name }) {
    const values = points.map(([, value]) => value);
    return el("tr", {},
      el("th", { scope: "row" }, el("i", { class: `swatch ${name}`, "aria-hidden": "true" }), label),
      el("td.n"), el("td.n", {}, this.format(values.reduce((a, b) => Math.min(a, b)))),
      el("td.n", {}, this.format(values.reduce((a, b) => Math.max(a, b)))));
  }

  /** The second column tells the values at the cursor, or those of now; what has ended has none. */
  point() {
    if (!this.span) return;
    const { from, to, step } = this.span;
    const shown = cursor !== null && cursor >= from && cursor <= to;
    this.line.setAttribute("visibility", shown ? "visible" : "hidden");
    if (shown) for (const side of ["x1", "x2"]) this.line.setAttribute(side, this.x(cursor));
    this.at.textContent = shown ? moment(cursor) : "Now";
    this.lines.forEach((line, index) => {
      const value = valueAt(line, shown ? cursor : to, step);
      this.rows.rows[index].cells[1].textContent = this.format(value);
    });
  }

  pointed(event) {
    const box = this.svg.getBoundingClientRect();
    const share = ((event.clientX - box.left) * this.width / box.width - EDGE.left) / this.across;
    if (this.span) pointAt(share < 0 || share > 1 ? null : this.span.from + share * (this.span.to - this.span.from));
  }

  pressed(event) {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way || !this.span) return;
    event.preventDefault();
    const { from, to } = this.span;
    pointAt(Math.min(to, Math.max(from, (cursor ?? to) + way * (to - from) / 48)));
  }
}

const plots = PAGE.plots.map((plan, index) => new Plot(plan, index));

function pointAt(when) {
  cursor = when;
  plots.forEach((plot) => plot.point());
}

/** When another version began to serve: one that was not there the last time that any was. */
function releasesOf(series, { from, step }) {
  const seen = new Map();
  for (const { labels, points } of series) {
    for (const [when] of points) seen.set(when, [...(seen.get(when) ?? []), labels.version]);
  }
  const found = [];
  let before = null;
  for (const when of [...seen.keys()].sort((a, b) => a - b)) {
    const fresh = seen.get(when).filter((name) => before && !before.includes(name));
    found.push(...fresh.map((version) => ({ when: Math.max(from, when - step / 2), version })));
    before = seen.get(when);
  }
  return found;
}

// Asks for all of it each half minute while somebody looks, and at once for another span.
const REFRESH_MS = 30000;
const SPANS = { "1h": [3600, 15], "6h": [21600, 60], "24h": [86400, 240], "7d": [604800, 1680] };
let turn = 0;
let timer;

const chosen = () => (location.hash.slice(1) in SPANS ? location.hash.slice(1) : "24h");

function spanOf(name) {
  const [length, step] = SPANS[name];
  const to = Math.floor(Date.now() / 1000 / step) * step;
  return { from: to - length, to, step };
}

async function current() {
  const names = Object.keys(PAGE.now);
  const answers = await Promise.all(names.map((name) => now(PAGE.now[name])));
  return Object.fromEntries(names.map((name, index) => [name, answers[index]]));
}

function showReleases({ found, fault }, span) {
  const releases = found ? releasesOf(found, span) : [];
  const list = releases.map(({ when, version: name }) => `${name} at ${moment(when)}`).join(", ");
  find("#releases").textContent = fault ? `Releases are not known. ${fault}`
    : list ? `Dashed lines: another version began to serve: ${list}.` : "No other version began to serve in this time.";
  return releases;
}

/** An answer that comes after somebody chose another span is for nobody. */
async function refresh() {
  clearTimeout(timer);
  turn += 1;
  const mine = turn;
  const span = spanOf(chosen());
  for (const link of document.querySelectorAll("#spans a")) {
    if (link.hash === `#${chosen()}`) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  const [alerts, parts] = await Promise.all([
    tried(ask("alerts").then((data) => sorted(data.alerts))), tried(current())]);
  if (mine !== turn) return;
  if (alerts.found) showAlerts(alerts.found);
  showVerdict(alerts.fault ? alerts : { ...alerts, fault: parts.fault }, showParts(parts, alerts));
  if (!alerts.fault) find("#asked").textContent = `at ${clockWithSeconds(Date.now() / 1000)} UTC`;
  const [versions, ...answers] = await Promise.all([
    tried(over(PAGE.releases, span)), ...plots.map((plot) => plot.load(span))]);
  if (mine !== turn) return;
  const releases = showReleases(versions, span);
  plots.forEach((plot, index) => plot.show(answers[index], span, releases));
  document.body.dataset.turn = mine;
  if (!document.hidden) timer = setTimeout(refresh, REFRESH_MS);
}

find("#plots").append(...plots.map((plot) => plot.node));
new ResizeObserver(() => plots.forEach((plot) => plot.paint())).observe(find("#plots"));
addEventListener("hashchange", refresh);
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
refresh();

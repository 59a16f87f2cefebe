// Which alerts fire, since when, and what to do; and the line at the top.
const SEVERITIES = ["critical", "warning"];
const TONES = { critical: "bad", warning: "mixed" };

/** Those that somebody is to act upon, the worst first; and whether rules are computed at all. */
function sorted(alerts) {
  const rank = (alert) => 2 * (alert.state !== "firing") + SEVERITIES.indexOf(alert.labels.severity);
  return {
    computed: alerts.some(({ labels }) => labels.alertname === "Watchdog"),
    alerts: alerts.filter(({ labels }) => SEVERITIES.includes(labels.severity))
      .map((alert) => ({ ...alert, since: Date.parse(alert.activeAt) / 1000 }))
      .sort((a, b) => rank(a) - rank(b) || a.since - b.since),
  };
}

/** A link where it leads somewhere from here, and else the page and its section. */
function runbook(place = "") {
  const section = decodeURIComponent(place.split("#")[1] ?? "").replaceAll("-", " ");
  if (/^https?:\/\//.test(place)) {
    return el("a", { href: place, rel: "noreferrer" }, section || "runbook");
  }
  return `${place.split("#")[0]}: ${section}`;
}

function alertRow({ state, labels, annotations, since }) {
  const tone = state === "firing" ? TONES[labels.severity] : "mixed";
  const told = state === "firing" ? labels.severity : `${labels.severity}, soon`;
  return el("tr", {},
    el("th", { scope: "row" }, el(`span.tag.${tone}`, {}, told)),
    el("td", {}, el("b", {}, annotations.summary ?? labels.alertname),
      el("span.more", {}, annotations.description ?? ""),
      el("span.more", {}, [labels.alertname, labels.instance, labels.job].filter(Boolean).join(" · "))),
    el("td.t", {}, el("time", { datetime: stamp(since) }, moment(since)),
      el("span.more", {}, `for ${duration(Date.now() / 1000 - since)}`)),
    el("td", {}, el("span.key", {}, "Runbook: "), runbook(annotations.runbook)));
}

function showAlerts({ alerts }) {
  const firing = alerts.filter(({ state }) => state === "firing");
  const pending = alerts.filter(({ state }) => state !== "firing");
  for (const [box, rows] of [["#firing", firing], ["#pending", pending]]) {
    find(`${box} tbody`).replaceChildren(...rows.map(alertRow));
    find(box).hidden = rows.length === 0;
  }
  find("#pending summary").textContent = `${counted(pending)} may follow`;
}

/** "1 critical and 2 warning alerts". */
function counted(alerts) {
  const each = SEVERITIES
    .map((severity) => [severity, alerts.filter(({ labels }) => labels.severity === severity).length])
    .filter(([, count]) => count).map(([severity, count]) => `${count} ${severity}`);
  return `${each.join(" and ")} ${alerts.length === 1 ? "alert" : "alerts"}`;
}

/** What a person is to know first: of all that was asked, the worst. */
function verdict({ found, fault }, ill) {
  if (fault) return ["bad", "Nothing is known.", `${fault} What is shown below may be old.`];
  const { alerts, computed } = found;
  const firing = alerts.filter(({ state }) => state === "firing");
  const beside = ill.length ? `Not as they should be: ${ill.join(", ")}.` : "";
  if (!computed) {
    return ["bad", "Alerts are not computed.",
      `Prometheus answers, but the alert that always fires does not: see RulesFail in the runbook. ${beside}`];
  }
  if (firing.length) {
    return [TONES[firing[0].labels.severity],
      `${counted(firing)} ${firing.length === 1 ? "fires" : "fire"}.`, beside || "All parts answer."];
  }
  const next = alerts.length ? ` ${counted(alerts)} may follow.` : "";
  // A warning may wait for a day until it fires; somebody who was woken has time for it.
  if (ill.length || alerts.some(({ labels }) => labels.severity === "critical")) {
    return ["mixed", "Something is not as it should be.", `No alert fires.${next} ${beside}`];
  }
  return ["good", "All is well.", `No alert fires, and all parts answer.${next}`];
}

function showVerdict(answer, ill) {
  const [tone, headline, rest] = verdict(answer, ill);
  const box = find("#verdict");
  // Told again only where it is something else: it is read aloud.
  if (box.dataset.told !== headline + rest) {
    box.dataset.told = headline + rest;
    box.className = `verdict ${tone}`;
    box.replaceChildren(el("p", {}, el("b", {}, headline), " ", rest));
  }
  document.title = `${headline} ${PAGE_TITLE}`;
}

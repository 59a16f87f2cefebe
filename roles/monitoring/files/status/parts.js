// Is it up, part by part. A part has members, each with a name, a tone and a word.
const WORST = ["good", "none", "mixed", "bad"];
const worst = (tones) => tones.reduce((a, b) => (WORST.indexOf(b) > WORST.indexOf(a) ? b : a), "good");

const member = (name, tone, says) => ({ name, tone, says });
const of = (samples, job) => samples.filter(({ labels }) => labels.job === job);
const at = (samples, instance) => samples.find(({ labels }) => labels.instance === instance);

/** One member for each target of a job; `ask` says of one that answers its tone and word. */
function targets(now, job, ask) {
  return of(now.up, job).map(({ labels, value }) => (value === 1
    ? member(labels.instance, ...ask(labels.instance))
    : member(labels.instance, "bad", "does not answer")));
}

function version(now, job, instance) {
  return at(of(now.versions, job), instance)?.labels.version ?? "version unknown";
}

/** A yes or no that a target exports; where it does not, it cannot be up. */
const yes = (samples, up, down) => (instance) => {
  const found = at(samples, instance);
  if (!found) return ["bad", "tells nothing"];
  return found.value === 1 ? ["good", up] : ["bad", down];
};

// PostgreSQL knows standbys by their internal names, Prometheus hosts by those of the inventory.
const short = (name = "") => name.split(".")[0];

function role(now, instance) {
  const primary = at(now.primary, instance);
  if (!primary) return ["bad", "PostgreSQL does not answer"];
  if (primary.value === 1) return ["good", "primary"];
  const lag = now.lag.find(({ labels }) => short(labels.standby) === short(instance));
  return lag ? ["good", `standby, ${UNITS.seconds(lag.value)} behind`] : ["mixed", "standby, does not follow"];
}

const ROLES = { master: "master", slave: "replica" };

const MEMBERS = {
  public: (now) => of(now.probes, "public").map(({ labels, value }) => member(
    labels.instance === "name" ? PAGE_DOMAIN : `at ${labels.instance}`,
    ...(value === 1 ? ["good", "answers"] : ["bad", "does not answer"]))),
  edges: (now) => targets(now, "nginx", () => ["good", "up"]),
  api: (now) => targets(now, "api", (instance) => {
    const ready = at(of(now.probes, "ready"), instance)?.value === 1;
    const runs = version(now, "api", instance);
    return ready ? ["good", runs] : ["bad", `not ready, ${runs}`];
  }),
  worker: (now) => targets(now, "worker", (instance) => ["good", version(now, "worker", instance)]),
  database: (now) => targets(now, "postgresql", (instance) => role(now, instance)),
  pgbouncer: (now) => now.pools.map(({ labels }) => member(labels.instance,
    ...yes(now.pools, "up", "does not answer")(labels.instance))),
  redis: (now) => targets(now, "redis", (instance) => yes(now.caches,
    ROLES[at(now.cacheRoles, instance)?.labels.role] ?? "up", "does not answer")(instance)),
  etcd: (now) => targets(now, "etcd", yes(now.leaders, "has a leader", "has no leader")),
  backup: (now) => now.repositories.map(({ labels, value }) => {
    const age = now.backups.find((backup) => backup.labels.repo === labels.repo);
    const says = age ? `${duration(age.value)} ago` : "no backup";
    return member(`repository ${labels.repo}`, value === 1 ? "good" : "bad", says);
  }),
  drill: (now) => now.drill.map(({ value }) => {
    const ago = now.proved.length ? `${duration(now.proved[0].value)} ago` : "never";
    return value === 1 ? member("passed", "good", ago) : member("failed", "bad", `last passed ${ago}`);
  }),
  certificates: (now) => [
    ...now.served.filter(({ labels }) => labels.instance === "name")
      .map(({ value }) => member(PAGE_DOMAIN, "good", `${duration(value)} left`)),
    ...[...now.leaves].sort((a, b) => a.value - b.value).slice(0, 1)
      .map(({ labels, value }) => member("next to end", value > 0 ? "good" : "bad",
        `${labels.leaf} of ${labels.instance}, ${duration(value)} left`)),
  ],
  hosts: (now) => targets(now, "node", () => ["good", "up"]),
  targets: (now) => now.up.map(({ labels, value }) => member(`${labels.job} of ${labels.instance}`,
    ...(value === 1 ? ["good", "answers"] : ["bad", "does not answer"]))),
};
// A site that was made today has none; the alert on it waits for a day as well.
const MAY_BE_MISSING = { drill: "No drill was made yet." };

/** The state of a part: the worst of its members and of the alerts that are about it. */
function state(part, now, alerts) {
  const { id } = part;
  const members = MEMBERS[id](now).sort((a, b) => natural(a.name, b.name));
  const firing = alerts.filter(({ state: is, labels }) => is === "firing" && part.alerts.includes(labels.alertname));
  const tones = firing.map(({ labels }) => TONES[labels.severity]);
  if (!members.length) tones.push(id in MAY_BE_MISSING ? "none" : "mixed");
  const tone = worst([...members.map((one) => one.tone), ...tones]);
  return { ...part, members, tone, told: told(members, firing) };
}

const isIll = ({ tone }) => tone !== "good";

function told(members, firing) {
  const ill = members.filter(isIll).length;
  if (ill) return `${ill} of ${members.length} ill`;
  if (firing.length) return [...new Set(firing.map(({ labels }) => labels.alertname))].join(", ");
  return members.length ? "well" : "unknown";
}

function partRow({ id, name, members, tone, told: word }) {
  // There are too many targets to name those that are well, which other parts do.
  const shown = id === "targets" ? members.filter(isIll) : members;
  const none = members.length ? `${members.length} targets answer.` : MAY_BE_MISSING[id] ?? "Nobody tells of it.";
  const list = shown.map((one) => el(`li.${one.tone}`, {}, el("b", {}, one.name), ` ${one.says}`));
  return el("tr", { "data-part": id, "data-tone": tone },
    el("th", { scope: "row" }, name),
    el("td", {}, el(`span.tag.${tone}`, {}, word)),
    el("td", {}, list.length ? el("ul.members", {}, list) : none));
}

/** Shows all parts; the names of those that are not as they should be. */
function showParts({ found, fault }, { found: known }) {
  const body = find("#parts tbody");
  if (fault) {
    body.replaceChildren(el("tr", {}, el("td.red", { colspan: 3 }, fault)));
    return [];
  }
  const states = PAGE.parts.map((part) => state(part, found, known?.alerts ?? []));
  body.replaceChildren(...states.map(partRow));
  return states.filter(({ tone }) => tone === "bad" || tone === "mixed").map(({ name }) => name);
}

// Asks Prometheus, which serves this page. What goes wrong becomes a sentence for people.
const API = new URL("../api/v1/", document.baseURI);
const PATIENCE_MS = 20000;

class Fault extends Error {}

async function ask(path, parameters = {}) {
  const url = new URL(path, API);
  url.search = new URLSearchParams(parameters);
  let text;
  let status;
  try {
    const response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    status = response.status;
    text = await response.text();
  } catch (error) {
    throw new Fault(error.name === "TimeoutError"
      ? `Prometheus did not answer within ${PATIENCE_MS / 1000} seconds.`
      : "Prometheus cannot be reached: it is off, or the way to it is closed.");
  }
  const answer = parsed(text);
  if (answer?.status !== "success") {
    throw new Fault(`Prometheus answered ${status}: ${answer?.error ?? text.slice(0, 200)}`);
  }
  return answer.data;
}

/** What is no JSON is shown as it came. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Samples of now: labels and a number each. */
async function now(query) {
  const { result } = await ask("query", { query });
  return result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
}

/** Series over a span, with points of [seconds, number]; what is no number leaves a gap. */
async function over(query, span) {
  const { from, to, step } = span;
  const window = `${Math.max(120, step)}s`;
  const wanted = query.replaceAll("$window", window);
  const { result } = await ask("query_range", { query: wanted, start: from, end: to, step });
  return result.map(({ metric, values }) => ({
    labels: metric,
    points: values.map(([at, text]) => [at, Number(text)]).filter(([, value]) => Number.isFinite(value)),
  })).filter(({ points }) => points.length > 0);
}

/** What came, or the sentence that says why nothing did. Faults of our own are not hidden. */
async function tried(promise) {
  try {
    return { found: await promise };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { fault: error.message };
  }
}

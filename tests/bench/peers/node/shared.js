// What both Node programs need: settings, the statements, who may ask how often, and metrics.
import { readFileSync } from "node:fs";
import Redis from "ioredis";
import client from "prom-client";

export const queries = JSON.parse(readFileSync(process.env.QUERIES, "utf8"));
export const redis = new Redis(process.env.REDIS_URL);
export const secret = process.env.JWT_SECRET;
export const port = Number(process.env.PORT);
export const claims = { issuer: "gtsd-api", audience: "gtsd-client" };

export const duration = new client.Histogram({
  name: "http_request_duration_seconds",
  help: "Time to answer",
  labelNames: ["method", "route", "status"],
});
export const metrics = () => client.register.metrics();

export const today = () => new Date().toISOString().slice(0, 10);
export const dayKey = (user) => `peer:today:${user}:${today()}`;

// The values of a statement, in the order of its parameters.
export const values = (query, given) => query.names.map((name) => given[name] ?? null);

export async function allowed(user) {
  const key = `peer:limit:${user}:${Math.floor(Date.now() / 60000)}`;
  const [[, count]] = await redis.multi().incr(key).expire(key, 120).exec();
  return count <= 1000000;
}

export async function account(user, load) {
  const key = `peer:account:${user}`;
  const found = await redis.get(key);
  if (found !== null) return JSON.parse(found);
  const loaded = await load();
  if (loaded) await redis.set(key, JSON.stringify(loaded), "EX", 60);
  return loaded;
}

export const dayParameters = (user, limit) => ({
  user_id: user, day: today(), today: today(), type: null, limit, offset: 0,
});

export const evidenceParameters = (user, body) => ({
  user_id: user, task_id: body.taskId, type: body.type, data: JSON.stringify(body.data),
  notes: body.notes ?? null, today: today(), now: new Date().toISOString(),
  catalogue: queries.catalogue,
});

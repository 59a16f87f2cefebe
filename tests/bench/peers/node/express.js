// Express, postgres.js and ioredis, as their documentation shows them.
import express from "express";
import jwt from "jsonwebtoken";
import pinoHttp from "pino-http";
import postgres from "postgres";
import * as s from "./shared.js";

const sql = postgres(process.env.DATABASE_URL, { max: 10 });
const catalogue = JSON.parse(s.queries.catalogue);
const app = express();
app.use(pinoHttp());
app.use(express.json({ limit: "100kb" }));
app.use((req, res, next) => {
  const stop = s.duration.startTimer();
  res.on("finish", () => stop({ method: req.method, route: req.route?.path, status: res.statusCode }));
  next();
});
app.get("/metrics", async (req, res) => res.type("text/plain").send(await s.metrics()));
app.get("/ready", (req, res) => res.json({ ready: true }));

const refuse = (res, status, code) => res.status(status).json({ success: false, error: { code } });

app.use("/v1", async (req, res, next) => {
  const [scheme, token] = (req.get("Authorization") ?? "").split(" ");
  try {
    if (scheme !== "Bearer") throw new Error("no token");
    req.user = jwt.verify(token, s.secret, { algorithms: ["HS256"], ...s.claims }).sub;
  } catch {
    return refuse(res, 401, "unauthenticated");
  }
  if (!(await s.allowed(req.user))) return refuse(res, 429, "rate_limited");
  const { account } = s.queries;
  const known = await s.account(req.user, async () =>
    (await sql.unsafe(account.sql, s.values(account, { user_id: req.user }), { prepare: true }))[0]);
  if (!known?.is_active) return refuse(res, 401, "unauthenticated");
  next();
});

async function load(user, limit) {
  const { today } = s.queries;
  const rows = await sql.unsafe(today.sql, s.values(today, s.dayParameters(user, limit)), { prepare: true });
  return JSON.parse(Object.values(rows[0])[0]);
}

app.get("/v1/tasks/today", async (req, res) => {
  const limit = Number(req.query.limit ?? 50);
  if (limit !== 50) return res.json({ success: true, data: await load(req.user, limit) });
  const found = await s.redis.get(s.dayKey(req.user));
  if (found !== null) return res.json({ success: true, data: JSON.parse(found) });
  const data = await load(req.user, 50);
  await s.redis.set(s.dayKey(req.user), JSON.stringify(data), "EX", 60);
  res.json({ success: true, data });
});

app.post("/v1/evidence", async (req, res) => {
  const { taskId, type, data } = req.body;
  if (!Number.isInteger(taskId) || type !== "text_log" || typeof data?.text !== "string")
    return refuse(res, 400, "invalid_fields");
  // postgres.js makes the JSON itself.
  const given = { ...s.evidenceParameters(req.user, req.body), data, catalogue };
  const text = await sql.begin(async (tx) => {
    let rows;
    for (const query of s.queries.evidence)
      rows = await tx.unsafe(query.sql, s.values(query, given), { prepare: true });
    return rows[0] && Object.values(rows[0])[0];
  });
  if (!text) return refuse(res, 404, "not_found");
  await s.redis.del(s.dayKey(req.user));
  res.status(201).json({ success: true, data: JSON.parse(text) });
});

app.listen(s.port, "127.0.0.1");

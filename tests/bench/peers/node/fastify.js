// Fastify and pg: finished JSON is sent as it is.
import fastifyJwt from "@fastify/jwt";
import Fastify from "fastify";
import pg from "pg";
import * as s from "./shared.js";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
const app = Fastify({ logger: true, bodyLimit: 100 * 1024 });
app.register(fastifyJwt, {
  secret: s.secret,
  verify: { algorithms: ["HS256"], allowedIss: s.claims.issuer, allowedAud: s.claims.audience, cache: true },
});
app.addHook("onResponse", async (request, reply) => {
  s.duration.observe(
    { method: request.method, route: request.routeOptions.url, status: reply.statusCode },
    reply.elapsedTime / 1000,
  );
});
app.get("/metrics", async (request, reply) => reply.type("text/plain").send(await s.metrics()));
app.get("/ready", async () => ({ ready: true }));

// With a name pg prepares it once a connection.
const run = (where, name, query, given) =>
  where.query({ name, text: query.sql, values: s.values(query, given), rowMode: "array" });

async function person(request, reply) {
  await request.jwtVerify();
  const user = request.user.sub;
  if (!(await s.allowed(user))) return reply.code(429).send({ success: false });
  const known = await s.account(user, async () =>
    (await run(pool, "account", s.queries.account, { user_id: user })).rows[0]);
  if (!known?.[2]) return reply.code(401).send({ success: false });
}

async function load(user, limit) {
  return (await run(pool, "today", s.queries.today, s.dayParameters(user, limit))).rows[0][0];
}

const send = (reply, data) => reply.type("application/json; charset=utf-8").send(`{"success":true,"data":${data}}`);

app.get("/v1/tasks/today", { preHandler: person }, async (request, reply) => {
  const user = request.user.sub;
  const limit = Number(request.query.limit ?? 50);
  if (limit !== 50) return send(reply, await load(user, limit));
  const found = await s.redis.get(s.dayKey(user));
  if (found !== null) return send(reply, found);
  const data = await load(user, 50);
  await s.redis.set(s.dayKey(user), data, "EX", 60);
  return send(reply, data);
});

const body = {
  type: "object",
  required: ["taskId", "type", "data"],
  properties: {
    taskId: { type: "integer", minimum: 1 },
    type: { const: "text_log" },
    data: { type: "object", required: ["text"], properties: { text: { type: "string", maxLength: 2000 } } },
  },
};

app.post("/v1/evidence", { preHandler: person, schema: { body } }, async (request, reply) => {
  const user = request.user.sub;
  const given = s.evidenceParameters(user, request.body);
  const connection = await pool.connect();
  let text;
  try {
    await connection.query("BEGIN");
    for (const [n, query] of s.queries.evidence.entries())
      text = (await run(connection, `evidence-${n}`, query, given)).rows[0]?.[0];
    await connection.query("COMMIT");
  } catch (error) {
    await connection.query("ROLLBACK");
    throw error;
  } finally {
    connection.release();
  }
  if (!text) return reply.code(404).send({ success: false });
  await s.redis.del(s.dayKey(user));
  return send(reply.code(201), text);
});

await app.listen({ port: s.port, host: "127.0.0.1" });

// Receives Mindrail's webhooks; Node 20 or newer, no packages but a way to run
// TypeScript.
//
//     MINDRAIL_WEBHOOK_SECRET=... npx tsx receiver.ts [PORT]
//
// Put it behind a proxy that speaks TLS. `npx tsx receiver.ts --self-test` checks the
// signature against a known answer.

import assert from "node:assert/strict";
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingHttpHeaders } from "node:http";

const oldestSeconds = 300;
const largest = 1 << 20;
const secret = (process.env.MINDRAIL_WEBHOOK_SECRET ?? "").trim();
const seen = new Set<string>(); // keep this in your database: an event may come again

type Event = { id: string; type: string; decision: number; conversation_id: string | null };

function signature(secret: string, timestamp: string, body: Buffer): string {
  return "v1=" + createHmac("sha256", secret).update(`${timestamp}.`).update(body).digest("hex");
}

/** Whether Mindrail sent this body, within the last five minutes. */
function isGenuine(headers: IncomingHttpHeaders, body: Buffer, secret: string, now: number): boolean {
  const timestamp = String(headers["mindrail-timestamp"] ?? "");
  const shown = Buffer.from(String(headers["mindrail-signature"] ?? ""));
  if (!/^\d+$/.test(timestamp) || Math.abs(now - Number(timestamp)) > oldestSeconds) return false;
  const expected = Buffer.from(signature(secret, timestamp, body));
  return shown.length === expected.length && timingSafeEqual(shown, expected);
}

/** Wakes somebody. Be quick, or hand it on: Mindrail waits ten seconds. */
async function handle(event: Event): Promise<void> {
  console.log(
    `${event.type} ${event.id}: decision ${event.decision}, conversation ${event.conversation_id}`,
  );
}

function selfTest(): void {
  const known = "v1=c8710bfad0d5744c091661b621aa5a921003ddb478e5004c4b34e1bc1fbcc919";
  const body = Buffer.from('{"id":"e"}');
  const headers = { "mindrail-timestamp": "1700000000", "mindrail-signature": known };
  assert.equal(signature("secret", "1700000000", body), known);
  assert.ok(isGenuine(headers, body, "secret", 1_700_000_299));
  assert.ok(!isGenuine(headers, body, "secret", 1_700_000_301), "too old");
  assert.ok(!isGenuine(headers, body, "other", 1_700_000_000), "another secret");
  assert.ok(!isGenuine(headers, Buffer.from('{"id":"e"} '), "secret", 1_700_000_000), "another body");
  console.log("the signature is right");
}

function serve(port: number): void {
  createServer(async (request, response) => {
    try {
      const parts: Buffer[] = [];
      let size = 0;
      for await (const part of request) {
        size += part.length;
        if (size > largest) return response.writeHead(413).end();
        parts.push(part);
      }
      const body = Buffer.concat(parts);
      if (!isGenuine(request.headers, body, secret, Date.now() / 1000)) {
        return response.writeHead(401).end();
      }
      const event = JSON.parse(body.toString()) as Event;
      if (!seen.has(event.id)) {
        await handle(event); // if this fails, Mindrail gets no 2xx and comes again
        seen.add(event.id);
      }
      response.writeHead(204).end();
    } catch {
      response.writeHead(500).end();
    }
  }).listen(port, "127.0.0.1");
}

if (process.argv.includes("--self-test")) selfTest();
else if (!secret) throw new Error("MINDRAIL_WEBHOOK_SECRET is unset");
else serve(Number(process.argv[2] ?? 8401));

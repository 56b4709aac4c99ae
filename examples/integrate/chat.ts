// Mindrail around an existing chatbot; Node 20 or newer, no packages but a way to run
// TypeScript.
//
//     MINDRAIL_API_KEY=... npx tsx chat.ts
//
// Put your model in place of `generate` and your own ways in place of `callAHuman`.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

const url = process.env.MINDRAIL_URL ?? "http://127.0.0.1:8377";
const key = process.env.MINDRAIL_API_KEY ?? "";
// For the time when there is no verdict or no good reply: your words, with lines that you
// have verified.
const heldBack = "I do not have a good enough answer to that right now. What you wrote matters.";
const ownWords =
  "If you are in danger, call your local emergency number. You can ask for a person here at any time.";

type Action = "allow" | "support" | "escalate";
type Message = { role: "user" | "assistant"; content: string };
type Resources = { words?: string[]; helplines?: { name: string; contact: string }[] };
type Verdict = { verdict: { action: Action }; resources?: Resources | null };
type Replies = { best: number | null };

/** There is no verdict, and that never means that all is well. */
class NotEvaluated extends Error {}

/** The request itself was refused; `code` says why and programs may rely on it. */
class Refused extends Error {
  constructor(readonly status: number, readonly code: string, message: string) {
    super(`${status} ${code}: ${message}`);
  }
}

/** Asks, and again where that can help: under one idempotency key it is decided once. */
async function ask<T>(path: string, body: unknown, tries = 4): Promise<T> {
  const headers = {
    authorization: `Bearer ${key}`,
    "content-type": "application/json",
    "idempotency-key": randomUUID(),
  };
  for (let attempt = 0; attempt < tries; attempt++) {
    let wait = 200 * 2 ** attempt;
    try {
      const signal = AbortSignal.timeout(5000);
      const answer = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body), signal });
      if (answer.ok) return (await answer.json()) as T;
      const { error } = (await answer.json()) as { error: { code: string; message: string } };
      if (answer.status !== 429 && answer.status < 500) {
        throw new Refused(answer.status, error.code, error.message);
      }
      wait = 1000 * Number(answer.headers.get("retry-after") ?? wait / 1000);
    } catch (error) {
      if (error instanceof Refused) throw error;
      // No connection, no answer in time, or half an answer.
    }
    if (attempt + 1 < tries) await sleep(Math.min(wait, 2000));
  }
  throw new NotEvaluated(path);
}

/** One conversation with one person. Only new turns are sent. */
class Conversation {
  private turns: Message[] = [];
  /** How many turns Mindrail has. */
  private sent = 0;

  constructor(private readonly id: string, private readonly person?: string) {}

  /** The verdict on the person, with all turns that Mindrail does not have yet. */
  async guard(): Promise<Verdict> {
    const again = ["turns_missing", "conversation_went_on", "other_model"];
    const answer = await this.send(this.sent).catch((error) => {
      // It was forgotten, or another process took it further: send it whole.
      if (error instanceof Refused && again.includes(error.code)) return this.send(0);
      throw error;
    });
    this.sent = this.turns.length;
    return answer;
  }

  private send(first: number): Promise<Verdict> {
    return ask("/v1/guard", {
      conversation_id: this.id,
      person_id: this.person,
      first_turn: first,
      messages: this.turns.slice(first),
    });
  }

  /** The reply to show; none where none may be shown. */
  async choose(candidates: string[]): Promise<string | undefined> {
    const answer = await ask<Replies>("/v1/guard/reply", { conversation_id: this.id, candidates });
    return answer.best === null ? undefined : candidates[answer.best];
  }

  /** What the person gets to read. */
  async replyTo(text: string): Promise<string> {
    this.turns.push({ role: "user", content: text });
    let action: Action = "escalate";
    let resources: Resources = { words: [ownWords] };
    try {
      const answer = await this.guard();
      action = answer.verdict.action;
      resources = answer.resources ?? {};
      if (action === "escalate") callAHuman(this.id, action);
    } catch (reason) {
      // Never fall through to the bare assistant: a person looks at it.
      callAHuman(this.id, `not evaluated: ${(reason as Error).message}`);
    }
    let reply = await this.reply(action);
    if (action !== "allow") reply = [reply, ...linesOf(resources)].join("\n\n");
    this.turns.push({ role: "assistant", content: reply });
    return reply;
  }

  private async reply(action: Action): Promise<string> {
    for (let draft = 0; draft < 2; draft++) {
      const chosen = await this.choose(generate(this.turns, action)).catch(() => undefined);
      if (chosen !== undefined) return chosen;
    }
    return heldBack;
  }
}

/** What to show with a reply: the general words, and the helplines. */
function linesOf(resources: Resources): string[] {
  const helplines = (resources.helplines ?? []).map((line) => `${line.name}: ${line.contact}`);
  return [...(resources.words ?? []), ...helplines];
}

function callAHuman(conversation: string, why: string): void {
  console.log(`[a person is called to ${conversation}: ${why}]`);
}

/** Your model. Give it `action`, so that it answers with support where that is asked. */
function generate(turns: Message[], action: Action): string[] {
  if (action === "allow") return ["Sure, tell me more about it."];
  return ["Thank you for telling me. I am here. Are you safe right now?"];
}

const chat = new Conversation(`chat-${randomUUID()}`, "p-7");
for (const text of ["how do i make pancakes without eggs", "i can't do this any more. i don't want to be here tomorrow"]) {
  console.log("person:   ", text);
  console.log("assistant:", await chat.replyTo(text));
}

// Asks a running `mindrail serve` for moderations with OpenAI's own Node client.
//
//     npm install --prefix FOLDER openai && cp scripts/adapter_clients/openai_client.mjs FOLDER
//     node FOLDER/openai_client.mjs http://127.0.0.1:8377
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none", maxRetries: 0 });
const [calm, danger] = ["what is a good way to cook rice", "i dont want to be here tomorrow"];

const answer = await client.moderations.create({ input: [calm, danger] });
assert.deepEqual(answer.results.map((result) => result.flagged), [false, true]);
const intent = answer.results.map((result) => result.category_scores["self-harm/intent"]);
assert.ok(intent[1] > intent[0]);
assert.equal(Object.keys(answer.results[0].categories).length, 13);
const image = await client.moderations.create({
  input: [{ type: "text", text: calm }, { type: "image_url", image_url: { url: "https://example.com/a.png" } }],
});
assert.equal(image.results[0].flagged, true);
await assert.rejects(client.moderations.create({ input: [] }), (error) => {
  assert.ok(error instanceof OpenAI.BadRequestError);
  assert.equal(error.code, "invalid_request");
  return true;
});
console.log(`openai for node: ok, ${answer.id}, ${answer.model}`);

// The official JavaScript client through the proxy. Usage: node client.mjs http://HOST:PORT/v1
// `openai` is looked for beside NODE_CLIENT, a folder in which it was installed.
import { createRequire } from 'node:module';
const require = createRequire(`${process.env.NODE_CLIENT ?? process.cwd()}/`);
const OpenAI = require('openai').default ?? require('openai');
const { VERSION: version } = require('openai/version');

const CALM = 'That sounds like a lot for one week. I am glad that you told me. Which part of it is the heaviest for you right now?';
const client = new OpenAI({ baseURL: process.argv[2], apiKey: 'unused', maxRetries: 0 });
const everyday = [{ role: 'user', content: 'the bus was late again and i have a lot of homework' }];
const danger = ['school is a lot lately', 'i dont see a way out anymore', 'i dont want to be here tomorrow']
  .map((content) => ({ role: 'user', content }));
const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } }];

function check(name, condition, seen) {
  console.log(`${condition ? 'ok  ' : 'FAIL'} javascript ${version}: ${name}`);
  if (!condition) {
    console.log(seen);
    process.exit(1);
  }
}

async function read(request) {
  let text = '';
  const finishes = [];
  let handed = '';
  for await (const chunk of await client.chat.completions.create({ stream: true, ...request })) {
    const choice = chunk.choices[0];
    text += choice?.delta?.content ?? '';
    for (const call of choice?.delta?.tool_calls ?? []) handed += call.function?.arguments ?? '';
    if (choice?.finish_reason) finishes.push(choice.finish_reason);
  }
  return { text, finishes: finishes.join(), handed };
}

let answer = await client.chat.completions.create({ model: 'plain', messages: everyday });
check('a whole answer', answer.choices[0].message.content === CALM, answer);
answer = await client.chat.completions.create({ model: 'harsh', messages: everyday });
check('a reply that does harm is replaced', !answer.choices[0].message.content.includes('pathetic'), answer);
answer = await client.chat.completions.create({ model: 'plain', messages: danger });
check('on escalate there are words', answer.choices[0].message.content.includes('real person'), answer);
answer = await client.chat.completions.create({ model: 'tool', messages: everyday, tools });
check('a tool call', answer.choices[0].message.tool_calls[0].function.arguments === '{"place": "Paris"}', answer);

let seen = await read({ model: 'plain', messages: everyday });
check('a stream', seen.text === CALM && seen.finishes === 'stop', seen);
seen = await read({ model: 'harsh', messages: everyday });
check('a stream that does harm', !seen.text.includes('pathetic') && seen.text.length > 40 && seen.finishes === 'stop', seen);
seen = await read({ model: 'plain', messages: danger });
check('on escalate a stream of words', seen.text.includes('real person'), seen);
seen = await read({ model: 'cut', messages: everyday });
check('a stream that is cut', seen.text.includes('not working on my side') && seen.finishes === 'stop', seen);
seen = await read({ model: 'tool', messages: everyday, tools });
check('a tool call in pieces', seen.handed === '{"place": "Paris"}' && seen.finishes === 'tool_calls', seen);
const final = await client.chat.completions.stream({ model: 'plain', messages: everyday }).finalChatCompletion();
check("the client's own stream reader", final.choices[0].message.content === CALM, final);

const models = [];
for await (const model of client.models.list()) models.push(model.id);
check('the list of models', models.join() === 'plain', models);
const error = await client.chat.completions
  .create({ model: 'plain', messages: everyday, top_logprobs: 3, logprobs: true })
  .catch((error) => error);
check('a request that cannot be guarded is an error that says why', error.status === 422 && error.message.includes('top_logprobs'), error);

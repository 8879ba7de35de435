// openai-node with the Responses API.

import { createReadStream } from "node:fs";
import OpenAI from "openai";
import { base, imagePath, lastDrawn, prompt, read, tell } from "./seen.mjs";

const client = new OpenAI({ baseURL: base, apiKey: "none", maxRetries: 0 });
const { version } = JSON.parse(read(new URL("node_modules/openai/package.json", import.meta.url)));
const tool = { type: "image_generation", quality: "low", output_format: "webp" };
const forced = { type: "image_generation" };

const create = (values = {}) =>
  client.responses.create({ model: "gpt-5", input: prompt, tools: [tool], ...values });

function pictures(answer) {
  const calls = answer.output.filter((item) => item.type === "image_generation_call");
  return { pictures: calls.map((call) => ({ b64_json: call.result })) };
}

async function stream() {
  const found = [];
  const events = [];
  const tools = [{ ...tool, partial_images: 2 }];
  for await (const event of await create({ tools, stream: true })) {
    if (event.type === "response.image_generation_call.partial_image") {
      found.push({ b64_json: event.partial_image_b64 });
      events.push(event.type);
    } else if (event.type === "response.output_item.done" && event.output_index === 0) {
      found.push({ b64_json: event.item.result });
      events.push(event.type);
    }
  }
  return { pictures: found, events };
}

async function follow() {
  const first = await create();
  await create({ input: "make it blue", previous_response_id: first.id });
  return lastDrawn();
}

async function followBy(itemOf) {
  const first = await create();
  const item = itemOf(first.output[0]);
  const input = [{ role: "user", content: prompt }, item, { role: "user", content: "make it blue" }];
  await create({ input });
  return lastDrawn();
}

async function uploaded() {
  const file = await client.files.create({ file: createReadStream(imagePath), purpose: "vision" });
  const content = [
    { type: "input_text", text: "a hat" },
    { type: "input_image", file_id: file.id, detail: "auto" },
  ];
  await create({ input: [{ role: "user", content }] });
  return lastDrawn();
}

async function kept() {
  const first = await create();
  const again = await client.responses.retrieve(first.id);
  await client.responses.delete(first.id);
  return pictures(again);
}

await tell(version, {
  respond: async () => pictures(await create()),
  "respond-forced": async () => pictures(await create({ tool_choice: forced })),
  "respond-stream": stream,
  "respond-follow": follow,
  "respond-item": () => followBy((item) => item),
  "respond-reference": () => followBy((item) => ({ type: "item_reference", id: item.id })),
  "respond-file": uploaded,
  "respond-kept": kept,
  "respond-blocked": () => create({ input: "gore" }),
  "respond-no-tool": () => create({ tools: [{ type: "web_search" }] }),
});

// @openai/agents with its hosted imageGenerationTool.

import { Agent, imageGenerationTool, run, setDefaultOpenAIClient, setTracingDisabled } from "@openai/agents";
import OpenAI from "openai";
import { base, lastDrawn, prompt, read, tell } from "./seen.mjs";

const { version } = JSON.parse(
  read(new URL("node_modules/@openai/agents/package.json", import.meta.url)),
);
setDefaultOpenAIClient(new OpenAI({ baseURL: base, apiKey: "none", maxRetries: 0 }));
setTracingDisabled(true);

const agent = (options = {}, modelSettings = {}) =>
  new Agent({
    name: "painter",
    instructions: "You draw.",
    model: "gpt-5",
    modelSettings,
    tools: [imageGenerationTool({ quality: "low", outputFormat: "webp", ...options })],
  });

function pictures(result) {
  const calls = result.newItems.filter((item) => item.type === "tool_call_item");
  return { pictures: calls.map((item) => ({ b64_json: item.rawItem.output })) };
}

async function stream() {
  const found = [];
  const events = [];
  const result = await run(agent({ partialImages: 2 }), prompt, { stream: true });
  for await (const event of result) {
    const raw = event.type === "raw_model_stream_event" ? event.data.event : undefined;
    if (raw?.type === "response.image_generation_call.partial_image") {
      found.push({ b64_json: raw.partial_image_b64 });
      events.push(raw.type);
    } else if (raw?.type === "response.output_item.done" && raw.output_index === 0) {
      found.push({ b64_json: raw.item.result });
      events.push(raw.type);
    }
  }
  await result.completed;
  return { pictures: found, events };
}

async function follow() {
  const first = await run(agent(), prompt);
  await run(agent(), [...first.history, { role: "user", content: "make it blue" }]);
  return lastDrawn();
}

await tell(version, {
  respond: async () => pictures(await run(agent(), prompt)),
  "respond-forced": async () =>
    pictures(await run(agent({}, { toolChoice: "image_generation" }), prompt)),
  "respond-stream": stream,
  "respond-item": follow,
  "respond-blocked": () => run(agent(), "gore"),
});

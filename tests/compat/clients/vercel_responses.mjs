// Vercel's AI SDK: generateText and streamText with the tool imageGeneration of its provider.

import { createOpenAI } from "@ai-sdk/openai";
import { generateText, streamText } from "ai";
import { base, lastDrawn, prompt, read, tell } from "./seen.mjs";

const openai = createOpenAI({ baseURL: base, apiKey: "none" });
const model = openai.responses("gpt-5");
const { version } = JSON.parse(read(new URL("node_modules/ai/package.json", import.meta.url)));

const asked = (values = {}, options = {}) => ({
  model,
  maxRetries: 0,
  tools: {
    image_generation: openai.tools.imageGeneration({
      outputFormat: "webp",
      quality: "low",
      size: "1024x1024",
      ...options,
    }),
  },
  ...values,
});

const pictures = (results) => ({
  pictures: results.map((result) => ({ b64_json: result.output.result })),
});

async function draw(values) {
  const { staticToolResults, toolResults } = await generateText(asked({ prompt, ...values }));
  return pictures(toolResults ?? staticToolResults);
}

async function stream() {
  const found = [];
  const events = [];
  const { fullStream } = streamText(asked({ prompt }, { partialImages: 2 }));
  for await (const part of fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type !== "tool-result") continue;
    found.push({ b64_json: part.output.result });
    events.push(part.type);
  }
  return { pictures: found, events };
}

async function follow(providerOptions) {
  const first = await generateText(asked({ prompt, providerOptions }));
  const messages = [
    { role: "user", content: prompt },
    ...(first.response?.messages ?? first.responseMessages),
    { role: "user", content: "make it blue" },
  ];
  await generateText(asked({ messages, providerOptions }));
  return lastDrawn();
}

await tell(version, {
  respond: () => draw(),
  "respond-forced": () => draw({ toolChoice: { type: "tool", toolName: "image_generation" } }),
  "respond-results": stream,
  "respond-reference": () => follow(),
  "respond-blocked": () => generateText(asked({ prompt: "gore" })),
});

// Vercel's AI SDK: generateImage through its provider for OpenAI and the one for servers like it.

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateImage } from "ai";
import { base, imagePath, prompt, read, tell } from "./seen.mjs";

const openai = createOpenAI({ baseURL: base, apiKey: "none" });
const compatible = createOpenAICompatible({ name: "limner", baseURL: base, apiKey: "none" });
const { version } = JSON.parse(read(new URL("node_modules/ai/package.json", import.meta.url)));

async function draw(model, values) {
  const { images } = await generateImage({ model, prompt, maxRetries: 0, ...values });
  return { pictures: images.map((image) => ({ b64_json: image.base64 })) };
}

const gpt = openai.image("gpt-image-1");
const low = { providerOptions: { openai: { quality: "low", outputFormat: "webp" } } };

await tell(version, {
  "bytes": () => draw(openai.image("dall-e-2"), { size: "256x256" }),
  "two-bytes": () => draw(openai.image("dall-e-2"), { size: "256x256", n: 2 }),
  gpt: () => draw(gpt, low),
  compatible: () => draw(compatible.imageModel("testcard"), { size: "256x256", n: 2 }),
  "wrong-size": () => draw(openai.image("dall-e-2"), { size: "300x300" }),
  "gpt-edit": () => draw(gpt, { ...low, prompt: { images: [read(imagePath)], text: "a hat" } }),
});

// Vercel's AI SDK: a picture, then a change to it in the same conversation.

import { mkdirSync, writeFileSync } from "node:fs";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";

const [server = "http://127.0.0.1:8000", folder = "story"] = process.argv.slice(2);
const openai = createOpenAI({ baseURL: `${server}/v1`, apiKey: "none" });
const tools = { image_generation: openai.tools.imageGeneration({ quality: "low" }) };
const messages = [];

mkdirSync(folder, { recursive: true });
for (const [index, prompt] of ["a red apple", "make it blue"].entries()) {
  messages.push({ role: "user", content: prompt });
  const answer = await generateText({ model: openai.responses("gpt-5"), messages, tools });
  messages.push(...(answer.response?.messages ?? answer.responseMessages));
  const [result] = answer.toolResults ?? answer.staticToolResults;
  const path = `${folder}/${index + 1}.png`;
  writeFileSync(path, Buffer.from(result.output.result, "base64"));
  console.log(path);
}

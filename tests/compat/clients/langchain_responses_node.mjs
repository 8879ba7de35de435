// @langchain/openai: ChatOpenAI with the tool image_generation bound to it.

import { ChatOpenAI, tools } from "@langchain/openai";
import { base, lastDrawn, prompt, read, tell } from "./seen.mjs";

const { version } = JSON.parse(
  read(new URL("node_modules/@langchain/openai/package.json", import.meta.url)),
);
const tool = tools.imageGeneration({ quality: "low", outputFormat: "webp" });

const model = (values = {}) =>
  new ChatOpenAI({
    model: "gpt-5",
    apiKey: "none",
    maxRetries: 0,
    useResponsesApi: true,
    configuration: { baseURL: base },
  }).bindTools([tool], values);

function pictures(message) {
  const calls = (message.additional_kwargs.tool_outputs ?? []).filter(
    (item) => item.type === "image_generation_call",
  );
  return { pictures: calls.map((call) => ({ b64_json: call.result })) };
}

async function stream() {
  let whole;
  for await (const chunk of await model().stream(prompt)) {
    whole = whole === undefined ? chunk : whole.concat(chunk);
  }
  return pictures(whole);
}

async function follow() {
  const first = await model().invoke(prompt);
  await model({ previous_response_id: first.response_metadata.id }).invoke("make it blue");
  return lastDrawn();
}

async function followByItem() {
  const first = await model().invoke(prompt);
  await model().invoke([["user", prompt], first, ["user", "make it blue"]]);
  return lastDrawn();
}

await tell(version, {
  respond: async () => pictures(await model().invoke(prompt)),
  "respond-forced": async () =>
    pictures(await model({ tool_choice: { type: "image_generation" } }).invoke(prompt)),
  "respond-streamed": stream,
  "respond-follow": follow,
  "respond-item": followByItem,
  "respond-blocked": () => model().invoke("gore"),
});

// openai-node: files as streams and as bytes, which it sends in two different ways.

import { createReadStream } from "node:fs";
import OpenAI, { toFile } from "openai";
import { VERSION } from "openai/version";
import { base, imagePath, maskPath, prompt, read, tell } from "./seen.mjs";

const client = new OpenAI({ baseURL: base, apiKey: "none", maxRetries: 0 });
const small = { prompt, size: "256x256" };
const gpt = { prompt, model: "gpt-image-1", quality: "low", output_format: "webp" };

const items = (answer) => ({
  pictures: answer.data.map(({ url, b64_json }) => (url ? { url } : { b64_json })),
});

async function events(stream) {
  const found = { pictures: [], events: [] };
  for await (const event of stream) {
    found.pictures.push({ b64_json: event.b64_json });
    found.events.push(event.type);
  }
  return found;
}

async function raw() {
  const call = client.images.generate({ ...small, model: "testcard", seed: 7 });
  const { data, response, request_id } = await call.withResponse();
  return {
    values: {
      "x-limner-seed": response.headers.get("x-limner-seed"),
      "x-request-id": response.headers.get("x-request-id") === request_id,
      "openai-version": response.headers.get("openai-version"),
      "content-length": Number(response.headers.get("content-length")) > 0,
      pictures: data.data.length,
    },
  };
}

async function models() {
  const found = [];
  for await (const model of client.models.list()) found.push(model.id);
  return { models: found };
}

const open = (path) => createReadStream(path);
const edit = async (values) =>
  items(await client.images.edit({ image: open(imagePath), ...small, prompt: "a hat", ...values }));

await tell(VERSION, {
  generate: async () => items(await client.images.generate({ ...small, n: 2 })),
  bytes: async () => items(await client.images.generate({ ...small, response_format: "b64_json" })),
  gpt: async () => items(await client.images.generate(gpt)),
  stream: async () =>
    events(await client.images.generate({ ...gpt, stream: true, partial_images: 2 })),
  raw,
  models,
  "wrong-n": () => client.images.generate({ ...small, n: 11 }),
  blocked: () => client.images.generate({ ...small, prompt: "gore" }),
  "gpt-blocked": () => client.images.generate({ ...gpt, prompt: "gore" }),
  "unknown-model": () => client.models.retrieve("no such/model x"),
  edit: () => edit({}),
  "edit-mask": () => edit({ mask: open(maskPath) }),
  "gpt-edit": async () =>
    items(await client.images.edit({ image: [await toFile(read(imagePath))], ...gpt })),
  "edit-stream": async () =>
    events(
      await client.images.edit({ image: open(imagePath), ...gpt, stream: true, partial_images: 2 }),
    ),
  variation: async () =>
    items(await client.images.createVariation({ image: open(imagePath), n: 2, size: "256x256" })),
});

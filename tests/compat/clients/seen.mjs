// What the clients in JavaScript share: each case is run, and one line of JSON says what it saw.

import { readFileSync } from "node:fs";

const [root, folder] = process.argv.slice(2);

export const base = `${root}/v1`;
export const imagePath = `${folder}/image.png`;
export const maskPath = `${folder}/mask.png`;
export const prompt = "a red apple";
export const read = readFileSync;

function refusal(error) {
  const known = error.data?.error ?? error.cause?.data?.error ?? error;
  return {
    refused: error.constructor.name,
    message: error.message,
    code: known.code ?? null,
    param: known.param ?? null,
  };
}

export async function tell(version, cases) {
  const seen = {};
  for (const [name, run] of Object.entries(cases)) {
    try {
      seen[name] = await run();
    } catch (error) {
      seen[name] = refusal(error);
    }
  }
  console.log(JSON.stringify({ version, seen }));
}

export async function lastDrawn() {
  const { data } = await (await fetch(`${base}/images/history?limit=1`)).json();
  const { kind, prompt } = data[0];
  return { values: { kind, prompt } };
}

// The call that draws a picture, to be pasted into a shell or a program. It holds no key.
import { BASE } from "./api.js";
import { needsKey } from "./session.js";

const quotedForShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function fieldsOf(item) {
  const { n = 1, size, quality, background, seed } = item.parameters;
  const all = { model: item.model, prompt: item.prompt, n, size: size || item.size, quality,
    background, output_format: item.format, mark: item.parameters.mark || null, seed: item.seed ?? seed };
  if (item.kind === "variation") for (const name of NOT_OF_VARIATIONS) delete all[name];
  return Object.entries(all).filter(([, value]) => value !== undefined && value !== null);
}

const NOT_OF_VARIATIONS = ["prompt", "quality", "background", "output_format"];
const plain = new Set(["n", "seed", "mark"]); // numbers and truth values
const inPython = (value) => (value === true ? "True" : String(value));
const PATHS = { generation: "generations", edit: "edits", variation: "variations" };

export function asCurl(item) {
  const lines = [`curl ${BASE}/v1/images/${PATHS[item.kind]}`];
  if (needsKey()) lines.push('-H "Authorization: Bearer $LIMNER_KEY"');
  if (item.kind === "generation") {
    const json = fieldsOf(item).map(([name, value]) =>
      `${JSON.stringify(name)}: ${plain.has(name) ? value : JSON.stringify(value)}`);
    lines.push("-H 'Content-Type: application/json'", `-d ${quotedForShell(`{${json.join(", ")}}`)}`);
  } else {
    lines.push("-F image=@picture.png");
    for (const [name, value] of fieldsOf(item)) {
      lines.push(`--form-string ${quotedForShell(`${name}=${value}`)}`);
    }
  }
  return lines.join(" \\\n  ");
}

// Not parameters of the openai client.
const EXTRA = ["seed", "mark"];
const CALLS = { generation: "generate", edit: "edit", variation: "create_variation" };

export function asPython(item) {
  const shown = (name, value) => (plain.has(name) ? inPython(value) : JSON.stringify(value));
  const fields = fieldsOf(item);
  const own = fields.filter(([name]) => !EXTRA.includes(name));
  const extra = fields.filter(([name]) => EXTRA.includes(name));
  const lines = own.map(([name, value]) => `    ${name}=${shown(name, value)},`);
  if (item.kind !== "generation") lines.unshift('    image=open("picture.png", "rb"),');
  lines.push(`    extra_body={${extra.map(([name, value]) =>
    `${JSON.stringify(name)}: ${shown(name, value)}`).join(", ")}},`);
  const key = needsKey() ? 'os.environ["LIMNER_KEY"]' : '"none"';
  return [
    ...(needsKey() ? ["import os", ""] : []),
    "from openai import OpenAI", "",
    `client = OpenAI(base_url=${JSON.stringify(`${BASE}/v1`)}, api_key=${key})`,
    `answer = client.images.${CALLS[item.kind]}(`, ...lines, ")",
    "print(answer.data[0].url or answer.data[0].b64_json)",
  ].join("\n");
}

// The call that draws a picture, to be pasted into a shell or a program. It holds no key.
import { BASE } from "../basics/api.js";
import { needsKey } from "../visit/session.js";

const quotedForShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function fieldsOf(item) {
  const { n = 1, size, quality, background, seed, mark, refine, best_of, retry_below, options } =
    item.parameters;
  const all = { model: item.model, prompt: item.prompt, n, size: size || item.size, quality,
    background, output_format: item.format, mark: mark || null, refine: refine || null, best_of,
    retry_below, ...options, seed: item.seed ?? seed };
  if (item.kind === "variation") for (const name of NOT_OF_VARIATIONS) delete all[name];
  return Object.entries(all).filter(([, value]) => value !== undefined && value !== null);
}

const NOT_OF_VARIATIONS = ["prompt", "quality", "background", "output_format"];
// A seed may be a text, as it may be too large for a number.
const inJson = (name, value) => (name === "seed" ? String(value) : JSON.stringify(value));
const inPython = (name, value) => ({ true: "True", false: "False" }[value] || inJson(name, value));
const PATHS = { generation: "generations", edit: "edits", variation: "variations" };

export function asCurl(item) {
  const lines = [`curl ${BASE}/v1/images/${PATHS[item.kind]}`];
  if (needsKey()) lines.push('-H "Authorization: Bearer $LIMNER_KEY"');
  if (item.kind === "generation") {
    const json = fieldsOf(item).map(([name, value]) =>
      `${JSON.stringify(name)}: ${inJson(name, value)}`);
    lines.push("-H 'Content-Type: application/json'", `-d ${quotedForShell(`{${json.join(", ")}}`)}`);
  } else {
    lines.push("-F image=@picture.png");
    for (const [name, value] of fieldsOf(item)) {
      lines.push(`--form-string ${quotedForShell(`${name}=${value}`)}`);
    }
  }
  return lines.join(" \\\n  ");
}

// What the openai client has parameters for.
const CLIENT = ["model", "prompt", "n", "size", "quality", "background", "output_format"];
const CALLS = { generation: "generate", edit: "edit", variation: "create_variation" };

export function asPython(item) {
  const fields = fieldsOf(item);
  const known = fields.filter(([name]) => CLIENT.includes(name));
  const extra = fields.filter(([name]) => !CLIENT.includes(name));
  const lines = known.map(([name, value]) => `    ${name}=${inPython(name, value)},`);
  if (item.kind !== "generation") lines.unshift('    image=open("picture.png", "rb"),');
  lines.push(`    extra_body={${extra.map(([name, value]) =>
    `${JSON.stringify(name)}: ${inPython(name, value)}`).join(", ")}},`);
  const key = needsKey() ? 'os.environ["LIMNER_KEY"]' : '"none"';
  return [
    ...(needsKey() ? ["import os", ""] : []),
    "from openai import OpenAI", "",
    `client = OpenAI(base_url=${JSON.stringify(`${BASE}/v1`)}, api_key=${key})`,
    `answer = client.images.${CALLS[item.kind]}(`, ...lines, ")",
    "print(answer.data[0].url or answer.data[0].b64_json)",
  ].join("\n");
}

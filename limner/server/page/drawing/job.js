// The drawing under way: sent, watched, stopped. One at a time on a page.
import { call, Failure, request } from "../basics/api.js";
import { eventsOf } from "../basics/events.js";
import { cell } from "../basics/html.js";
import { add, itemsOf, withoutHistory } from "../gallery/pictures.js";
import { isStreamed } from "./options.js";
import { toJson } from "./request.js";

const POLL_MS = 800;

// null, or {state, kind, prompt, n, size, position, done, total, preview, items,
// failure, isWhole (the pictures come all at once), task}
export const job = cell(null);
export const isBusy = () => ["sent", "waiting", "drawing"].includes(job.value?.state);

let current = null; // {id, abort} of the request under way

// How the answer is asked for: as a stream with previews, if the API has one, or whole.
const AS_STREAM = { stream: true, partial_images: 3 };
const WHOLE = { response_format: "b64_json" };
const answerOf = ({ output_format: format }) => (isStreamed(format) ? AS_STREAM : WHOLE);

export function generate(body) {
  const options = {
    method: "POST", headers: { "content-type": "application/json" },
    body: toJson({ ...body, ...answerOf(body) }),
  };
  return run({ kind: "generation", body, options, path: "/v1/images/generations" });
}

export function edit(body, image, mask) {
  const form = formOf({ ...body, ...answerOf(body) }, image);
  if (mask) form.append("mask", mask, "mask.png");
  const options = { method: "POST", body: form };
  return run({ kind: "edit", body, options, path: "/v1/images/edits" });
}

export function vary(body, image) {
  const options = { method: "POST", body: formOf({ ...body, ...WHOLE }, image) };
  return run({ kind: "variation", body, options, path: "/v1/images/variations" });
}

export function again() {
  if (job.value?.task) run(job.value.task);
}

// Stop the request at the server; one that it does not know yet ends with the connection.
export async function stop() {
  if (!current) return;
  const { id, abort } = current;
  change({ isStopping: true });
  try {
    await call(`/v1/images/jobs/${id}`, { method: "DELETE" });
  } catch {
    abort.abort();
  }
}

export function dismiss() {
  if (!isBusy()) job.value = null;
}

function formOf(fields, image) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && value !== "") form.append(name, String(value));
  }
  form.append("image", image, image.name || "picture.png");
  return form;
}

function change(values) { job.value = { ...job.value, ...values }; }

async function run(task) {
  if (isBusy()) return;
  const id = `page-${[...crypto.getRandomValues(new Uint32Array(4))].join("-")}`;
  const abort = new AbortController();
  current = { id, abort };
  const { n = 1, prompt = "", size, output_format: format = "png" } = task.body;
  const isStream = task.kind !== "variation" && isStreamed(format);
  job.value = { state: "sent", kind: task.kind, prompt, n: +n, size, done: 0, total: 0, items: [],
    isWhole: !isStream, task };
  const options = { ...task.options, signal: abort.signal };
  options.headers = { ...options.headers, "x-client-request-id": id };
  const drawn = [];
  let requestId = null;
  try {
    const asking = request(task.path, options);
    const response = isStream ? await asking : await watched(asking, id);
    requestId = response.headers.get("x-request-id");
    await (isStream ? follow(response, drawn) : takeAll(response, drawn, format));
    change({ state: "done", preview: null, fresh: drawn.map(({ src }) => src) });
  } catch (failure) {
    const isStopped = failure.name === "AbortError" || failure.code === "request_cancelled";
    change(isStopped ? { state: "stopped", preview: null } : { state: "failed", failure });
  }
  current = null;
  await keep(requestId || id, drawn, task);
}

async function follow(response, drawn) {
  for await (const { comment, data } of eventsOf(response)) {
    if (comment) tell(comment);
    else if (data?.error) throw new Failure(response.status, data.error);
    else if (data?.type.endsWith(".partial_image")) {
      change({ state: "drawing", preview: sourceOf(data) });
    } else if (data?.type.endsWith(".completed")) {
      drawn.push({ src: sourceOf(data), size: data.size });
      change({ state: "drawing", preview: null, fresh: drawn.map(({ src }) => src) });
    }
  }
  // A stream that ends early is a server that died.
  if (drawn.length < job.value.n) throw new Failure(0);
}

function tell(comment) {
  const position = /^position (\d+)$/.exec(comment);
  const progress = /(\d+)\/(\d+)$/.exec(comment);
  if (position) change({ state: "waiting", position: +position[1] });
  else if (progress) change({ state: "drawing", done: +progress[1], total: +progress[2] });
}

// The answer of a call without a stream, its progress asked for meanwhile.
async function watched(asking, id) {
  let isOver = false;
  const ended = asking.finally(() => { isOver = true; });
  ended.catch(() => {});
  (async () => {
    while (!isOver) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      if (isOver) return;
      try {
        const { status, position, progress } = await call(`/v1/images/jobs/${id}`);
        if (isOver) return;
        if (status === "queued") change({ state: "waiting", position });
        else if (status === "drawing") change({ state: "drawing", ...progress });
      } catch { /* not known yet */ }
    }
  })();
  return ended;
}

async function takeAll(response, drawn, format) {
  const { data } = await response.json();
  for (const one of data) drawn.push({ src: sourceOf({ output_format: format, ...one }) });
}

const sourceOf = ({ output_format: format, b64_json: data }) =>
  `data:image/${format === "svg" ? "svg+xml" : format};base64,${data}`;

// Show what was drawn: from the history, or, without one, as it came.
async function keep(id, drawn, task) {
  if (job.value.failure?.status === 401 || job.value.failure?.isUnreachable) return;
  try {
    const row = await call(`/v1/images/history/${encodeURIComponent(id)}`);
    add(row);
    change({ items: itemsOf(row) });
  } catch (failure) {
    if (!drawn.length) return;
    const { prompt = "", model, ...parameters } = task.body;
    const items = drawn.map(({ src, size }, index) => ({
      id, index, src, prompt, model, kind: task.kind, parameters, seed: task.body.seed ?? null,
      size: size || task.body.size, format: task.body.output_format || "png", createdS: Date.now() / 1000,
    }));
    withoutHistory(items);
    change({ items });
  }
}


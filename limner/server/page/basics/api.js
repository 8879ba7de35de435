// The calls of the API. Each is public and documented; a key is in the cookie of the visit.
import { cell } from "./html.js";

const root = document.documentElement;
export const PREFIX = root.dataset.prefix;
export const VERSION = root.dataset.version;
export const BASE = location.origin + PREFIX;

export const isOffline = cell(false);
export const limits = cell(null); // pictures left in this minute: {left, of}
export const locked = cell(null); // why a key is asked for: "missing", "ended" or "wrong"

// What the server refused, or that it did not answer.
export class Failure extends Error {
  constructor(status, error = {}, retryAfterS = null) {
    super(error.message || "");
    this.status = status;
    this.code = error.code || null;
    this.retryAfterS = retryAfterS;
  }
  get isUnreachable() { return this.status === 0; }
}

export async function failureOf(response) {
  let error = {};
  try { error = (await response.json()).error || {}; } catch { /* a proxy's own page */ }
  const after = Number(response.headers.get("retry-after")) || null;
  return new Failure(response.status, { ...error, message: error.message || response.statusText },
    after);
}

// A response of status 2xx; anything else is a Failure.
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(PREFIX + path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    isOffline.value = true;
    throw new Failure(0);
  }
  isOffline.value = false;
  readLimits(response.headers);
  if (response.ok) return response;
  const failure = await failureOf(response);
  if (response.status === 401 && path !== "/session") lock(failure.code);
  throw failure;
}

export async function call(path, options) {
  return parsed(await (await request(path, options)).text());
}

// JSON, with seeds that are too large for a number of JavaScript as text.
export function parsed(text) {
  return JSON.parse(text, (name, value, context) =>
    (name === "seed" && value && !Number.isSafeInteger(value) && context?.source) || value);
}

export function sending(method, body) {
  return { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

function lock(code) {
  locked.value = { session_ended: "ended", invalid_api_key: "wrong" }[code] || "missing";
}

function readLimits(headers) {
  const of = headers.get("x-ratelimit-limit-images");
  if (of !== null) limits.value = { of: +of, left: +headers.get("x-ratelimit-remaining-images") };
}

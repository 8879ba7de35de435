// The pictures of the gallery: pages of the history, stars, deletion with undo, other tabs.
import { call, PREFIX, request } from "../basics/api.js";
import { cell } from "../basics/html.js";
import { toast } from "../basics/toasts.js";
import { t } from "../basics/words.js";

const PAGE = 40;
const AT_ONCE = 10; // pictures that are shown in one task: the page stays smooth while many come
export const UNDO_MS = 10_000;

// Pictures, the latest first, in chunks: a chunk that does not change is not drawn again.
export const gallery = cell({ chunks: [], hasMore: false, isLoading: false, failure: null });
export const hasHistory = cell(true);
export const filters = cell({ q: "", model: "", since: "", until: "", starred: "" });

const removed = new Map(); // key → timer: deleted here, and not yet at the server
const channel = "BroadcastChannel" in self ? new BroadcastChannel(`limner${PREFIX}`) : null;
let visit = 0; // counts searches, so that an old answer is not taken for a new one

export const keyOf = ({ id, index }) => `${id}/${index}`;
export const pathOf = ({ id, index }) =>
  `/v1/images/history/${encodeURIComponent(id)}/pictures/${index}`;

export function itemsOf(row) {
  return row.pictures.map((picture) => ({
    id: row.id, index: picture.index, prompt: row.prompt, model: row.model, kind: row.kind,
    parameters: row.parameters, createdS: row.created_at, owner: row.key, seconds: row.seconds,
    seed: picture.seed, score: picture.score, size: picture.size, format: picture.format,
    sha256: picture.sha256, parent: picture.parent, starred: picture.starred,
  }));
}

// Where a picture is shown from: a smaller copy for the grid, the file itself for the rest.
export function sourceOf(item, side) {
  if (item.src) return item.src;
  const copy = side && item.format !== "svg"; // which is small, and sharp at any size
  return `${PREFIX}${pathOf(item)}${copy ? `?format=webp&side=${side}` : ""}`;
}

export function all() { return gallery.value.chunks.flat(); }

function change(values) { gallery.value = { ...gallery.value, ...values }; }

export async function search(values) {
  if (values) filters.value = { ...filters.value, ...values };
  visit += 1;
  change({ chunks: [], hasMore: true, failure: null, isLoading: false, lastId: null });
  await more();
}

export async function more() {
  const { isLoading, hasMore, lastId } = gallery.value;
  if (isLoading || !hasMore || !hasHistory.value) return;
  change({ isLoading: true, failure: null });
  const asked = visit;
  try {
    const given = Object.entries(filters.value).filter(([, value]) => value);
    const query = new URLSearchParams([...given, ["limit", PAGE]]);
    if (lastId) query.set("after", lastId);
    const page = await call(`/v1/images/history?${query}`);
    if (asked !== visit) return;
    const known = new Set(all().map(keyOf));
    const isStarred = filters.value.starred === "true";
    const items = page.data.flatMap(itemsOf).filter((item) =>
      !known.has(keyOf(item)) && !removed.has(keyOf(item)) && (!isStarred || item.starred));
    show(items, asked, { hasMore: page.has_more, lastId: page.last_id || lastId, isLoading: false });
  } catch (failure) {
    if (asked !== visit) return;
    if (failure.code === "no_history") hasHistory.value = false;
    // A window asks for a key then, and all begins anew.
    const isEnd = ["no_history", "not_found"].includes(failure.code) || failure.status === 401;
    change({ isLoading: false, hasMore: !isEnd, failure: isEnd ? null : failure });
  }
}

// Some at once, the others when the browser has drawn them; with the last the state is `end`.
async function show(items, asked, end) {
  while (items.length > AT_ONCE && asked === visit) {
    change({ chunks: [...gallery.value.chunks, items.splice(0, AT_ONCE)] });
    await new Promise((resolve) => setTimeout(resolve));
  }
  if (asked === visit) change({ chunks: [...gallery.value.chunks, items], ...end });
}

export function add(row, { isTold = true } = {}) {
  const items = itemsOf(row).filter((item) => !all().some((one) => keyOf(one) === keyOf(item)));
  if (Object.values(filters.value).some(Boolean) || !items.length) return;
  change({ chunks: [items, ...gallery.value.chunks] });
  if (isTold) channel?.postMessage({ added: row });
}

// Without a history pictures live as long as the page.
export function withoutHistory(items) {
  if (!hasHistory.value) change({ chunks: [items, ...gallery.value.chunks] });
}

function replace(key, next) {
  change({
    chunks: gallery.value.chunks.map((chunk) => {
      if (!chunk.some((item) => keyOf(item) === key)) return chunk;
      return chunk.flatMap((item) => (keyOf(item) === key ? next(item) : [item]));
    }),
  });
}

export async function star(item, starred = !item.starred) {
  const key = keyOf(item);
  replace(key, (one) => [{ ...one, starred }]);
  try {
    await call(`${pathOf(item)}/star`, { method: starred ? "POST" : "DELETE" });
    channel?.postMessage({ starred: { key, starred } });
  } catch (failure) {
    replace(key, (one) => [{ ...one, starred: !starred }]);
    toast(failure.message || t("unreachable"), { isError: true });
  }
}

// Take a picture out of the gallery; the server is asked once it can no longer be undone.
export function remove(item, onUndo = null) {
  const key = keyOf(item);
  const before = gallery.value.chunks;
  replace(key, () => []);
  if (item.src && !hasHistory.value) return;
  const timer = setTimeout(() => erase(item, before), UNDO_MS);
  removed.set(key, { timer, item });
  toast(t("deleted"), {
    ms: UNDO_MS,
    action: t("undo"),
    onAction: () => { clearTimeout(timer); removed.delete(key); restore(item, before); onUndo?.(); },
  });
}

// Put a picture back behind the one that it stood behind.
function restore(item, before) {
  const keys = before.flat().map(keyOf);
  const earlier = keys.slice(0, keys.indexOf(keyOf(item))).reverse();
  const known = new Set(all().map(keyOf));
  const neighbour = earlier.find((key) => known.has(key));
  if (neighbour) replace(neighbour, (one) => [one, item]);
  else change({ chunks: [[item], ...gallery.value.chunks] });
}

async function erase(item, before) {
  const key = keyOf(item);
  try {
    await request(pathOf(item), { method: "DELETE" });
    channel?.postMessage({ removed: key });
  } catch (failure) {
    if (failure.status === 404) return;
    restore(item, before);
    toast(failure.message || t("unreachable"), { isError: true });
  } finally {
    removed.delete(key);
  }
}

// What was deleted here is deleted, also when the page is left before the time is over.
addEventListener("pagehide", () => {
  for (const { timer, item } of removed.values()) {
    clearTimeout(timer);
    request(pathOf(item), { method: "DELETE", keepalive: true }).catch(() => {});
  }
  removed.clear();
});

channel?.addEventListener("message", ({ data }) => {
  if (data.added) add(data.added, { isTold: false });
  if (data.removed) replace(data.removed, () => []);
  if (data.starred) {
    replace(data.starred.key, (one) => [{ ...one, starred: data.starred.starred }]);
  }
});

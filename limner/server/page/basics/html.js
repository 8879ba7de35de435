// Preact and htm as one import, and values that components can watch.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/hooks.js";
import htm from "../vendor/htm.js";
import { h, render } from "../vendor/preact.js";

export const html = htm.bind(h);
export { render, useEffect, useLayoutEffect, useMemo, useRef, useState };

// A value and who watches it.
export function cell(value) {
  const watchers = new Set();
  return {
    get value() { return value; },
    set value(next) {
      if (next === value) return;
      value = next;
      for (const watcher of [...watchers]) watcher(next);
    },
    watch(watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
}

// The value of `of`, as it is now and as it becomes.
export function useCell(of) {
  const [, redraw] = useState(0);
  useLayoutEffect(() => of.watch(() => redraw((n) => n + 1)), [of]);
  return of.value;
}

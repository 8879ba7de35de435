// In the document itself: what must be known before the first paint, and what begins after it.
(() => {
  const root = document.documentElement;
  const { prefix, script } = root.dataset;
  const stored = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const theme = stored("limner.theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const language = stored("limner.language") || (navigator.language.startsWith("zh") ? "zh" : "en");
  root.lang = language === "zh" ? "zh-Hans" : "en";

  // What follows would hold up the first paint, which has the sheet for the prompt: the box that
  // takes words, the first calls of the API, and the script, which is read meanwhile.
  let isBegun = false;
  function begin() {
    if (isBegun || document.readyState === "loading") return;
    isBegun = true;
    const box = document.getElementById("prompt");
    box.hidden = false;
    box.focus({ preventScroll: true });
    for (const path of ["/v1/models", "/session", "/v1/images/history?limit=40"]) {
      const link = document.createElement("link");
      Object.assign(link, { rel: "preload", as: "fetch", crossOrigin: "", href: prefix + path });
      document.head.append(link);
    }
    import(script);
  }
  new PerformanceObserver(begin).observe({ type: "paint", buffered: true });
  // A page in the background is not painted.
  addEventListener("DOMContentLoaded", () => setTimeout(begin, 200));
})();

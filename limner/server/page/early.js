// In the document itself, before the first paint: the theme and the language that were chosen here.
(() => {
  const root = document.documentElement;
  const stored = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const theme = stored("limner.theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const language = stored("limner.language") || (navigator.language.startsWith("zh") ? "zh" : "en");
  root.lang = language === "zh" ? "zh-Hans" : "en";
})();

// Draws the figures, each when it comes into view, in light or dark.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("figure-data").textContent);
  const NARROW = 560; // pixels, below which legends stand under their plots
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const wish = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map(); // plot -> what vega-embed returned
  const seen = new Set();
  let chosen = null; // what the reader pressed; null follows the system

  const isDark = () => (chosen === null ? wish.matches : chosen === "dark");

  function themed(name, width) {
    const config = data.themes[name];
    return width < NARROW ? { ...config, legend: { ...config.legend, orient: "bottom" } } : config;
  }

  async function draw(plot) {
    const one = data.figures[plot.dataset.figure];
    const spec = one.fluid ? { ...one.spec, width: "container", autosize: { type: "fit-x", contains: "padding" } } : one.spec;
    const drawnFor = isDark();
    const made = await vegaEmbed(plot, { $schema: "https://vega.github.io/schema/vega-lite/v6.json", ...spec }, {
      mode: "vega-lite",
      renderer: one.fine ? "canvas" : "svg",
      config: themed(drawnFor ? "dark" : "light", plot.clientWidth),
      actions: { export: true, source: false, compiled: false, editor: false },
      downloadFileName: plot.dataset.figure,
      ast: true, // no code is made of text, so that the page may forbid it
      tooltip: { theme: drawnFor ? "dark" : "light" },
    });
    const before = drawn.get(plot);
    if (before) before.finalize();
    drawn.set(plot, made);
    plot.dataset.drawn = drawnFor ? "dark" : "light";
    if (drawnFor !== isDark()) await draw(plot);
  }

  function show() {
    const dark = isDark();
    root.dataset.theme = dark ? "dark" : "light";
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", dark ? "Use light colours" : "Use dark colours");
    button.removeAttribute("aria-pressed");
    for (const plot of seen) draw(plot);
  }

  button.addEventListener("click", () => {
    chosen = isDark() ? "light" : "dark";
    show();
  });
  wish.addEventListener("change", show);
  show();

  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting || seen.has(entry.target)) continue;
      watch.unobserve(entry.target);
      seen.add(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "600px" });
  for (const plot of document.querySelectorAll("[data-figure]")) watch.observe(plot);
  window.addEventListener("beforeprint", () => {
    for (const plot of document.querySelectorAll("[data-figure]")) {
      if (!seen.has(plot)) { seen.add(plot); draw(plot); }
    }
  });
})();

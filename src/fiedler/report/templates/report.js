// Draws the figures of the page and gives their text the ink of the colour scheme.
"use strict";
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  function ink(plot) {
    const style = getComputedStyle(document.documentElement);
    const strong = style.getPropertyValue("--ink").trim();
    const soft = style.getPropertyValue("--soft").trim();
    const ground = style.getPropertyValue("--ground").trim();
    for (const axis of [...plot.below, ...plot.left]) {
      axis.axis_label_text_color = soft;
      axis.major_label_text_color = soft;
    }
    for (const renderer of plot.renderers) {
      if (renderer.name === "ink" || renderer.name === "label") {
        renderer.glyph.text_color = { value: strong };
      }
      if (renderer.name === "label") {
        renderer.glyph.background_fill_color = { value: ground };
      }
    }
  }

  function inkAll() {
    for (const document of Bokeh.documents) document.roots().forEach(ink);
  }

  async function draw() {
    const items = JSON.parse(document.getElementById("figures").textContent);
    for (const [name, item] of Object.entries(items)) {
      const place = document.getElementById(`figure-${name}`);
      await Bokeh.embed.embed_item(item, place);
    }
    inkAll();
    document.documentElement.dataset.ready = "yes";
  }

  dark.addEventListener("change", inkAll);
  draw().catch((error) => {
    document.documentElement.dataset.ready = "failed";
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = `The charts could not be drawn: ${error}`;
    document.querySelector("main").prepend(note);
  });
})();

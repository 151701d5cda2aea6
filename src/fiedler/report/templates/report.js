// Draws the figures of the page, gives their text the ink of the colour scheme, and lets the
// reader isolate a cluster, look at a row, and find rows by name.
"use strict";
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const get = (id) => document.getElementById(id);
  const MOST_FOUND = 30;

  function ink(plot) {
    const style = getComputedStyle(document.documentElement);
    const strong = style.getPropertyValue("--ink").trim();
    const soft = style.getPropertyValue("--soft").trim();
    const ground = style.getPropertyValue("--ground").trim();
    for (const axis of [...plot.below, ...plot.left]) {
      axis.axis_label_text_color = soft;
      axis.major_label_text_color = soft;
    }
    for (const legend of plot.legend ? [plot.legend].flat() : []) {
      legend.label_text_color = strong;
    }
    for (const renderer of plot.renderers) {
      if (renderer.name === "ink" || renderer.name === "label") {
        renderer.glyph.text_color = { value: strong };
      }
      if (renderer.name === "label") {
        renderer.glyph.background_fill_color = { value: ground };
      }
      if (renderer.name === "found") {
        renderer.glyph.line_color = { value: strong };
      }
    }
  }

  function inkAll() {
    for (const document of Bokeh.documents) document.roots().forEach(ink);
  }

  // The map: one cluster alone, one row in full, rows by name.

  function connectMap(plot) {
    const part = (name) => plot.renderers.find((renderer) => renderer.name === name);
    const [marks, ghosts, ring] = ["marks", "ghosts", "found"].map(part);
    const source = marks.data_source;
    const rows = source.data;
    const panel = get("row");
    const columns = JSON.parse(panel.dataset.columns);
    const side = Number(panel.dataset.side);

    function isolate(cluster) {
      const alone = cluster === null ? null : Array.from(rows.cluster, (own) => own === cluster);
      marks.view.filter.booleans = alone;
      ghosts.visible = cluster !== null;
      document.documentElement.dataset.isolated = cluster === null ? "" : cluster;
      for (const button of document.querySelectorAll("#isolate button")) {
        const own = button.dataset.cluster === "" ? null : Number(button.dataset.cluster);
        button.setAttribute("aria-pressed", String(own === cluster));
      }
    }

    function picture(i) {
      if (!side || rows.sheet[i] < 0) return null;
      const shown = document.createElement("div");
      const zoom = Math.max(1, 96 / side);
      shown.className = "picture";
      shown.style.cssText =
        `width:${side}px;height:${side}px;zoom:${zoom};` +
        `background-image:var(--sheet-${rows.sheet[i]});` +
        `background-position:-${rows.left[i]}px -${rows.top[i]}px`;
      return shown;
    }

    function look(i) {
      const list = document.createElement("dl");
      const facts = [["cluster", rows.cluster[i]]];
      columns.forEach((name, j) => facts.push([name, rows[`field${j}`][i]]));
      for (const [name, value] of facts) {
        const term = document.createElement("dt");
        const told = document.createElement("dd");
        term.textContent = name;
        told.textContent = value;
        list.append(term, told);
      }
      panel.replaceChildren(...[picture(i), list].filter(Boolean));
      panel.hidden = false;
      ring.data_source.data = { x: [rows.x[i]], y: [rows.y[i]] };
    }

    function find(words) {
      const found = [];
      const wanted = words.trim().toLowerCase();
      let count = 0;
      if (wanted) {
        rows.field0.forEach((name, i) => {
          const lower = name.toLowerCase();
          if (!lower.includes(wanted)) return;
          count += 1;
          // The very name that was typed comes first, wherever it stands.
          if (lower === wanted) found.unshift(i);
          else if (found.length < MOST_FOUND) found.push(i);
        });
      }
      const items = found.map((i) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = `${rows.field0[i]} (cluster ${rows.cluster[i]})`;
        button.addEventListener("click", () => look(i));
        item.append(button);
        return item;
      });
      if (wanted && count !== found.length) {
        const more = document.createElement("li");
        more.textContent = `and ${(count - found.length).toLocaleString("en")} more`;
        items.push(more);
      } else if (wanted && !count) {
        const none = document.createElement("li");
        none.textContent = "No name holds this.";
        items.push(none);
      }
      get("found").replaceChildren(...items);
      return found;
    }

    for (const button of document.querySelectorAll("button[data-cluster]")) {
      button.addEventListener("click", () => {
        const cluster = button.dataset.cluster === "" ? null : Number(button.dataset.cluster);
        isolate(cluster);
        if (!button.closest("#isolate")) get("h-map").scrollIntoView();
      });
    }
    source.selected.properties.indices.change.connect(() => {
      const [i] = source.selected.indices;
      if (i === undefined) return;
      isolate(rows.cluster[i]);
      look(i);
    });
    get("search").addEventListener("input", (event) => find(event.target.value));
    get("search").addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        const [first] = find(event.target.value);
        if (first !== undefined) look(first);
      } else if (event.key === "Escape") {
        event.target.value = "";
        find("");
      }
    });
  }

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  async function draw() {
    const items = await unpack(get("figures").textContent);
    for (const [name, item] of Object.entries(items)) {
      const place = get(`figure-${name}`);
      await Bokeh.embed.embed_item(item, place);
      if (name === "map") connectMap(Bokeh.documents[0].roots()[0]);
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

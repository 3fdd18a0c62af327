// Makes the plots of a report interactive, and opens its pictures at full size. The page is complete without it:
// every plot is also an SVG drawing. The page's content security policy allows this script alone, by its hash.
"use strict";
(() => {
  const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#be8c00"];
  const DASHES = { Dashed: "7 5", Dotted: "2 4" };
  // Corners of the markers, in the order of the colours: circle, square, triangle, diamond, triangle down, cross.
  const MARKERS = [
    "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0-4 0Z", "M-3.5-3.5H3.5V3.5H-3.5Z", "M0-4.5L4.5 3.5H-4.5Z",
    "M0-5L5 0L0 5L-5 0Z", "M0 4.5L4.5-3.5H-4.5Z", "M-4-4L4 4M-4 4L4-4",
  ];
  const WIDTH = 800, HEIGHT = 400, LEFT = 72, RIGHT = 16, TOP = 10, BOTTOM = 48;
  // What the horizontal axis may show, by the column of a run's clock.
  const UNITS = ["training images seen", "steps", "seconds of training"];

  const clocks = JSON.parse(document.getElementById("clocks")?.textContent ?? "[]");

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    made.append(...children);
    return made;
  };
  const svg = (name, attributes = {}, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    made.textContent = text;
    return made;
  };

  // 2500000 as "2.5M", 20000 as "20k", small numbers with three significant digits.
  const short = (x) => {
    const size = Math.abs(x);
    if (size >= 999500) return `${+(x / 1e6).toPrecision(3)}M`;
    if (size >= 9995) return `${+(x / 1e3).toPrecision(3)}k`;
    return `${+x.toPrecision(size >= 100 ? 4 : 3)}`;
  };

  // The value of column `to` of a run's clock where column 0 is `images`, by linear interpolation.
  const at = (clock, images, to) => {
    if (to === 0 || clock.length === 0) return images;
    let low = 0, high = clock.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (clock[middle][0] <= images) low = middle; else high = middle;
    }
    const [from, until] = [clock[low], clock[high]];
    const share = until[0] === from[0] ? 0 : (images - from[0]) / (until[0] - from[0]);
    return from[to] + share * (until[to] - from[to]);
  };

  // Round numbers from low to high: multiples of 1, 2 or 5 times a power of ten; on a logarithmic axis 1, 2 and 5
  // times the powers of ten, or every nth power alone.
  const ticks = (low, high, log) => {
    if (log && high / low > 4) {
      const powers = Math.log10(high / low);
      const steps = powers > 4 ? [1] : [1, 2, 5];
      const every = Math.max(1, Math.ceil(powers / 8));
      const all = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += every) {
        all.push(...steps.map((step) => step * 10 ** power));
      }
      return all.filter((x) => x >= low && x <= high);
    }
    const least = (high - low) / 8;
    const power = 10 ** Math.floor(Math.log10(least));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= least);
    const all = [];
    for (let i = Math.ceil(low / step); i * step <= high; i++) all.push(i * step);
    return all;
  };

  // A range with a margin of 5 % of its length on both sides.
  const widened = ([low, high], log) => {
    if (!(low < high)) return log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
    if (log) return [low / (high / low) ** 0.05, high * (high / low) ** 0.05];
    return [low - 0.05 * (high - low), high + 0.05 * (high - low)];
  };

  class Interactive {
    constructor(figure, plot) {
      this.plot = plot;
      this.hidden = new Set();
      this.unit = 0;
      [this.logX, this.logY] = [plot.log_x, plot.log_y];
      this.view = null; // The part of the x axis that is shown, or all of it.
      this.cursor = null;
      this.canvas = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, tabindex: 0, class: "plot", role: "application",
        "aria-label": "Interactive plot. Arrow keys move the cursor, plus and minus zoom, Escape shows everything." });
      this.readout = element("output", { class: "readout" });
      const place = figure.querySelector(".scroll");
      place.replaceChildren(this.controls(), this.legend(), this.canvas, this.readout);
      this.listen();
      this.draw();
    }

    controls() {
      const bar = element("div", { class: "controls" });
      if (this.plot.over_images && clocks.length > 0) {
        const choice = element("select", { "aria-label": "horizontal axis" });
        UNITS.forEach((unit, i) => choice.append(element("option", { value: i }, unit)));
        choice.onchange = () => { [this.unit, this.view, this.cursor] = [+choice.value, null, null]; this.draw(); };
        bar.append(element("label", {}, "over ", choice));
      }
      for (const [key, name] of [["logX", "log x"], ["logY", "log y"]]) {
        const box = element("input", { type: "checkbox" });
        box.checked = this[key];
        box.onchange = () => { this[key] = box.checked; this.view = null; this.draw(); };
        bar.append(element("label", {}, box, ` ${name}`));
      }
      const all = element("button", { type: "button" }, "show everything");
      all.onclick = () => { this.view = null; this.draw(); };
      bar.append(all);
      return bar;
    }

    legend() {
      const list = element("div", { class: "legend" });
      this.plot.series.forEach((series, i) => {
        const sample = svg("svg", { viewBox: "0 0 36 12", width: 36, height: 12 });
        sample.append(...this.line(series, [[0, 6], [36, 6]], [[18, 6]]));
        const button = element("button", { type: "button", "aria-pressed": true }, sample, series.name);
        button.onclick = () => {
          if (!this.hidden.delete(i)) this.hidden.add(i);
          button.setAttribute("aria-pressed", !this.hidden.has(i));
          this.draw();
        };
        list.append(button);
      });
      return list;
    }

    // The elements of a line through pixels, with markers at some of them.
    line(series, pixels, marked) {
      const colour = COLOURS[series.colour % COLOURS.length];
      const faint = series.stroke === "Faint";
      const made = [];
      if (series.stroke !== "Marks") {
        made.push(svg("polyline", { points: pixels.map((p) => p.join()).join(" "), fill: "none", stroke: colour,
          "stroke-width": faint ? 1 : 2, "stroke-opacity": faint ? 0.45 : 1, "stroke-dasharray": DASHES[series.stroke] ?? "" }));
      }
      if (!faint && series.stroke !== "Dotted") {
        const shape = MARKERS[series.colour % MARKERS.length];
        made.push(...marked.map(([x, y]) =>
          svg("path", { d: shape, transform: `translate(${x} ${y})`, fill: colour, stroke: colour, "stroke-width": 1.5 })));
      }
      return made;
    }

    // The points of the series that are shown: x in the chosen unit, y, and images seen.
    lines() {
      const { plot } = this;
      const within = (x) => !this.view || (x >= this.view[0] && x <= this.view[1]);
      return plot.series.map((series, i) => {
        if (this.hidden.has(i)) return [];
        const clock = clocks[series.run] ?? [];
        const points = series.points.map(([x, y]) => [plot.over_images ? at(clock, x, this.unit) : x, y, x]);
        return points.filter(([x, y]) => within(x) && (!this.logX || x > 0) && (!this.logY || y > 0));
      });
    }

    draw() {
      const { plot, canvas } = this;
      const lines = this.lines();
      const all = lines.flat();
      const xs = all.map((p) => p[0]);
      // The fall of the first steps would flatten the rest; a zoom or a logarithmic axis shows it.
      const whole = this.view || this.logX || this.logY;
      const usual = (y) => whole || ((plot.y_max === null || y <= plot.y_max) && (plot.y_min === null || y >= plot.y_min));
      const ys = all.map((p) => p[1]).filter(usual);
      if (plot.reference && !this.view) ys.push(plot.reference[1]);
      const range = (values) => values.reduce(([l, h], v) => [Math.min(l, v), Math.max(h, v)], [Infinity, -Infinity]);
      let x = this.view ?? range(xs);
      if (!this.view && !this.logX && plot.over_images) x = [Math.min(0, x[0]), x[1]];
      if (!(x[0] < x[1])) x = widened(x[0] === x[1] ? x : [0, 1], this.logX);
      let y = range(ys);
      y = widened(y[0] <= y[1] ? y : [0, 1], this.logY);
      const position = (v, [low, high], log) =>
        log ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low);
      const right = WIDTH - RIGHT, bottom = HEIGHT - BOTTOM;
      this.toX = (v) => LEFT + position(v, x, this.logX) * (right - LEFT);
      this.toY = (v) => bottom - position(v, y, this.logY) * (bottom - TOP);
      this.fromX = (pixel) => {
        const share = (pixel - LEFT) / (right - LEFT);
        return this.logX ? x[0] * (x[1] / x[0]) ** share : x[0] + share * (x[1] - x[0]);
      };
      this.shown = lines;
      this.limits = x;

      canvas.replaceChildren(this.clip(), ...this.axes(x, y));
      const group = svg("g", { "clip-path": "url(#plot-area)" });
      if (plot.reference) {
        const [label, value] = plot.reference;
        group.append(
          svg("path", { d: `M${LEFT} ${this.toY(value)}H${right}`, stroke: "currentColor", "stroke-dasharray": "2 4" }),
          svg("text", { x: LEFT + 8, y: this.toY(value) - 5, class: "label" }, `${label}: ${value.toFixed(2)}`),
        );
      }
      plot.series.forEach((series, i) => {
        const pixels = lines[i].map((p) => [this.toX(p[0]), this.toY(p[1])]);
        // All points where there are few of them, about eight where there are many.
        const every = pixels.length <= 25 ? 1 : Math.ceil(pixels.length / 8);
        group.append(...this.line(series, pixels, pixels.filter((_, n) => n % every === 0)));
      });
      canvas.append(group);
      this.pointer = svg("g");
      canvas.append(this.pointer);
      this.point();
    }

    clip() {
      const area = svg("clipPath", { id: "plot-area" });
      area.append(svg("rect", { x: LEFT, y: TOP - 6, width: WIDTH - RIGHT - LEFT + 6, height: HEIGHT - BOTTOM - TOP + 6 }));
      return area;
    }

    axes(x, y) {
      const right = WIDTH - RIGHT, bottom = HEIGHT - BOTTOM;
      const made = [svg("path", { d: `M${LEFT} ${TOP}V${bottom}H${right}`, fill: "none", stroke: "currentColor" })];
      for (const tick of ticks(...x, this.logX)) {
        const at = this.toX(tick);
        made.push(svg("path", { d: `M${at} ${TOP}V${bottom}`, class: "grid" }),
          svg("text", { x: at, y: bottom + 17, "text-anchor": "middle" }, short(tick)));
      }
      for (const tick of ticks(...y, this.logY)) {
        const at = this.toY(tick);
        made.push(svg("path", { d: `M${LEFT} ${at}H${right}`, class: "grid" }),
          svg("text", { x: LEFT - 6, y: at + 5, "text-anchor": "end" }, short(tick)));
      }
      const name = this.plot.over_images ? UNITS[this.unit] : this.plot.x_label;
      made.push(svg("text", { x: (LEFT + right) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, name),
        svg("text", { transform: `translate(16 ${(TOP + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, this.plot.y_label));
      return made;
    }

    // Draws the cursor and reads out the value of every series nearest to it.
    point() {
      this.pointer.replaceChildren();
      if (this.cursor === null || this.cursor < this.limits[0] || this.cursor > this.limits[1]) {
        this.readout.textContent = "Hover to read values; drag to zoom; double-click to show everything.";
        return;
      }
      const at = this.toX(this.cursor);
      this.pointer.append(svg("path", { d: `M${at} ${TOP}V${HEIGHT - BOTTOM}`, stroke: "currentColor", "stroke-opacity": 0.5 }));
      const parts = [`${this.plot.over_images ? UNITS[this.unit] : this.plot.x_label}: ${short(this.cursor)}`];
      this.shown.forEach((points, i) => {
        const near = points.reduce((best, p) =>
          !best || Math.abs(p[0] - this.cursor) < Math.abs(best[0] - this.cursor) ? p : best, null);
        if (!near) return;
        const series = this.plot.series[i];
        this.pointer.append(svg("circle", { cx: this.toX(near[0]), cy: this.toY(near[1]), r: 5, fill: "none",
          stroke: COLOURS[series.colour % COLOURS.length], "stroke-width": 2 }));
        parts.push(`${series.name}: ${+near[1].toFixed(3)}`);
      });
      this.readout.textContent = parts.join("  ·  ");
    }

    zoom(factor) {
      const [low, high] = this.limits;
      const middle = this.cursor ?? (this.logX ? Math.sqrt(low * high) : (low + high) / 2);
      this.view = this.logX
        ? [middle / (middle / low) ** factor, middle * (high / middle) ** factor]
        : [middle - (middle - low) * factor, middle + (high - middle) * factor];
      this.draw();
    }

    listen() {
      const { canvas } = this;
      const pixel = (event) => {
        const box = canvas.getBoundingClientRect();
        const x = ((event.clientX - box.left) * WIDTH) / box.width;
        return Math.min(Math.max(x, LEFT), WIDTH - RIGHT);
      };
      let from = null;
      canvas.onpointerdown = (event) => { from = pixel(event); canvas.setPointerCapture(event.pointerId); };
      canvas.onpointermove = (event) => {
        this.cursor = this.fromX(pixel(event));
        this.point();
        if (from === null) return;
        const [a, b] = [from, pixel(event)].sort((p, q) => p - q);
        this.pointer.append(svg("rect", { x: a, y: TOP, width: b - a, height: HEIGHT - BOTTOM - TOP, class: "drag" }));
      };
      canvas.onpointerup = (event) => {
        const [a, b] = [from, pixel(event)].sort((p, q) => p - q);
        if (from !== null && b - a > 8) {
          this.view = [this.fromX(a), this.fromX(b)];
          this.draw();
        }
        from = null;
      };
      canvas.onpointercancel = () => { from = null; };
      canvas.onpointerleave = () => { this.cursor = null; this.point(); };
      canvas.ondblclick = () => { this.view = null; this.draw(); };
      canvas.onkeydown = (event) => {
        const [low, high] = this.limits;
        const move = (by) => {
          const now = this.cursor === null ? LEFT : this.toX(this.cursor);
          this.cursor = this.fromX(Math.min(Math.max(now + by, LEFT), WIDTH - RIGHT));
          this.point();
        };
        const keys = {
          ArrowLeft: () => move(-8), ArrowRight: () => move(8),
          Home: () => { this.cursor = low; this.point(); }, End: () => { this.cursor = high; this.point(); },
          "+": () => this.zoom(0.5), "-": () => this.zoom(2), Escape: () => { this.view = null; this.draw(); },
        };
        if (!keys[event.key]) return;
        keys[event.key]();
        event.preventDefault();
      };
    }
  }

  document.querySelectorAll("figure").forEach((figure) => {
    const data = figure.querySelector("script[type='application/json']");
    if (data) new Interactive(figure, JSON.parse(data.textContent));
  });

  // Pictures open in a dialog, enlarged by a whole factor with sharp pixels.
  const dialog = element("dialog", { "aria-label": "picture at full size" });
  document.body.append(dialog);
  dialog.onclick = () => dialog.close();
  document.querySelectorAll("main img").forEach((img) => {
    img.tabIndex = 0;
    img.setAttribute("role", "button");
    const open = () => {
      const copy = img.cloneNode();
      copy.removeAttribute("tabindex");
      const [width, height] = [img.naturalWidth, img.naturalHeight];
      const room = Math.min((innerWidth - 48) / width, (innerHeight - 48) / height);
      const factor = room >= 1 ? Math.floor(room) : room;
      copy.style.width = `${width * factor}px`;
      dialog.replaceChildren(copy);
      dialog.showModal();
    };
    img.onclick = open;
    img.onkeydown = (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      open();
      event.preventDefault();
    };
  });
})();

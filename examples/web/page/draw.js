// Station 2: DRAW, glimpse by glimpse.

import { Grid, PIXELS, SIDE, bitmap, colour, greys, keepPainted, paintGreys } from "./grid.js";
import { drawing, pad } from "./pad.js";

/** Positions in the numbers of a glimpse: KL, read window, write window, canvas (`GLIMPSE` in stations.rs). */
const READ = 1;
const WRITE = 6;
const CANVAS = 11;
const GLIMPSE = CANVAS + PIXELS;
/** Time in ms for which each glimpse is shown. */
const EACH = 220;

const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Draw {
    /** The glimpses, one subarray each, and the reconstruction term in nats, or null if no drawing was read. */
    glimpses = [];
    reconstruction = null;
    #playing = 0;

    constructor(engine, root, report) {
        Object.assign(this, { engine, root, report });
        pad(root.querySelector(".pad"), false);
        this.slider = root.querySelector("input[type=range]");
        this.seed = root.querySelector("input[name=draw-seed]");
        const grid = (name, paint) => new Grid(root.querySelector(`[data-canvas=${name}]`), paint);
        this.reading = grid("reading", (...a) => this.#paintReading(...a));
        this.canvas = grid("writing", (...a) => this.#paintWriting(...a));
        this.strip = root.querySelector(".strip");
        this.#listen();
        drawing.addEventListener("change", () => this.mode === "read" && this.start(false));
    }

    get mode() {
        return this.root.querySelector("input[name=mode]:checked").value;
    }

    /** The number of the glimpse on display, counted from 0. */
    get time() {
        return Number(this.slider.value) - 1;
    }

    #listen() {
        this.slider.addEventListener("input", () => {
            this.#stop();
            this.#show();
        });
        this.root.querySelectorAll("input[name=mode]").forEach((input) =>
            input.addEventListener("change", () => this.start()));
        this.root.querySelector("[data-do=play]").addEventListener("click", () =>
            (this.#playing ? this.#stop() : this.play()));
        this.root.querySelector("[data-do=new]").addEventListener("click", () => {
            this.seed.value = (Number(this.seed.value) || 0) + 1;
            this.start();
        });
        this.seed.addEventListener("change", () => this.start());
    }

    /** Draws a digit or reads the drawing, and plays the glimpses. */
    async start(play = true) {
        const reads = this.mode === "read";
        const seed = Math.max(0, Math.floor(Number(this.seed.value) || 0));
        const request = reads ? { do: "read", image: [...drawing.ink], seed } : { do: "imagine", seed };
        const answer = await this.engine.ask(request, { slot: "draw" }).catch(this.report);
        if (!answer || reads !== (this.mode === "read")) return;
        const from = reads ? 1 : 0;
        this.reconstruction = reads ? answer.numbers[0] : null;
        const count = (answer.numbers.length - from) / GLIMPSE;
        this.glimpses = Array.from({ length: count }, (_, t) =>
            answer.numbers.subarray(from + t * GLIMPSE, from + (t + 1) * GLIMPSE));
        this.slider.max = count;
        this.root.dataset.mode = this.mode;
        this.#fillStrip();
        this.#fillBars();
        if (play && !still.matches) this.play();
        else {
            this.slider.value = count;
            this.#show();
        }
    }

    /** Shows the glimpses one after the other. */
    play() {
        this.#stop();
        this.slider.value = 1;
        this.#show();
        this.#playing = setInterval(() => {
            this.slider.value = this.time + 2;
            this.#show();
            if (this.time + 1 >= this.glimpses.length) this.#stop();
        }, EACH);
        this.#button("Pause");
    }

    #stop() {
        clearInterval(this.#playing);
        this.#playing = 0;
        this.#button("Play");
    }

    #button(text) {
        this.root.querySelector("[data-do=play]").textContent = text;
    }

    #show() {
        const t = this.time;
        this.root.querySelector("[data-out=glimpse]").textContent = `Glimpse ${t + 1} of ${this.glimpses.length}`;
        this.root.querySelector("[data-out=bound]").textContent = this.#words(t);
        [this.reading, this.canvas].forEach((grid) => grid.repaint());
        [this.strip, this.root.querySelector(".bars")].forEach((row) =>
            [...row.children].forEach((child, i) => child.classList.toggle("now", i === t)));
    }

    #words(t) {
        if (this.reconstruction === null) return "At every glimpse, z is drawn from the prior N(0, I); no image is read.";
        const total = this.glimpses.reduce((sum, glimpse) => sum + glimpse[0], 0);
        return `KL of this glimpse: ${this.glimpses[t][0].toFixed(2)} nats. All glimpses ${total.toFixed(1)} + ` +
            `reconstruction ${this.reconstruction.toFixed(1)} = ${(total + this.reconstruction).toFixed(1)} nats, ` +
            "an upper bound on −log p(x).";
    }

    /** Draws the rectangle of a window; its line width shows how much the filters blur. */
    #rectangle(context, pixel, window, name) {
        if (!window || Number.isNaN(window[0])) return;
        const [left, top, right, bottom, deviation] = window;
        context.strokeStyle = colour(name);
        context.lineWidth = Math.max(2 * pixel, Math.min(deviation, 4) * 0.4);
        // The centre of the first pixel is at 1.
        context.strokeRect(left - 0.5, top - 0.5, right - left, bottom - top);
    }

    #paintReading(context, pixel) {
        paintGreys(context, drawing.ink);
        const glimpse = this.glimpses[this.time];
        this.#rectangle(context, pixel, glimpse?.subarray(READ, WRITE), "read");
    }

    #paintWriting(context, pixel) {
        const glimpse = this.glimpses[this.time];
        if (!glimpse) return;
        paintGreys(context, glimpse, CANVAS);
        this.#rectangle(context, pixel, glimpse.subarray(WRITE, CANVAS), "write");
    }

    /** Fills the strip with a small picture of the canvas after each glimpse; a click selects the glimpse. */
    #fillStrip() {
        this.strip.replaceChildren(...this.glimpses.map((glimpse, t) => {
            const button = document.createElement("button");
            const canvas = document.createElement("canvas");
            button.setAttribute("aria-label", `go to glimpse ${t + 1}`);
            button.append(canvas);
            button.tabIndex = -1; // Keyboard users have the slider.
            button.addEventListener("click", () => {
                this.#stop();
                this.slider.value = t + 1;
                this.#show();
            });
            keepPainted(canvas, (context) => {
                const grey = greys();
                context.drawImage(bitmap(SIDE, SIDE, (i) => grey(glimpse[CANVAS + i])), 0, 0, SIDE, SIDE);
            });
            return button;
        }));
    }

    #fillBars() {
        const most = Math.max(...this.glimpses.map((glimpse) => glimpse[0]), 1e-6);
        const bars = this.root.querySelector(".bars");
        bars.replaceChildren(...this.glimpses.map((glimpse, t) => {
            const bar = document.createElement("span");
            bar.style.height = `${100 * glimpse[0] / most}%`;
            bar.title = `glimpse ${t + 1}: ${glimpse[0].toFixed(2)} nats`;
            return bar;
        }));
        const list = this.glimpses.map((glimpse) => glimpse[0].toFixed(1)).join(", ");
        bars.setAttribute("aria-label", `KL of each glimpse in nats: ${list}`);
        this.root.querySelector("[data-out=most]").textContent = `${most.toFixed(1)} nats`;
    }
}

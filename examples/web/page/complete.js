// Station 1: completions of the drawing, pixel by pixel, and -log p of each pixel.

import { Grid, PIXELS, SIDE, bitmap, colour, greys, ramp, rgb } from "./grid.js";
import { drawing, pad } from "./pad.js";

const TILES = 6;
/** The largest value on the heat map's colour scale, in nats. */
const MOST = 4;
/** Minimum time in ms in which completions appear, so that one can watch. */
const SHOWN = 2400;

const HIDE = {
    lower: (row) => row >= 14,
    right: (_, column) => column >= 14,
    middle: (row, column) => row >= 8 && row < 20 && column >= 8 && column < 20,
    all: () => true,
    nothing: () => false,
};

const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Formats nats, with one more decimal for small numbers. */
const nats = (x) => x.toFixed(x < 0.1 ? 3 : 2);

export class Complete {
    /** -log p and the probability of ink of the drawing: [2, 784], or null until they are known. */
    scores = null;
    /** The completions so far, [6, 784], and the mask of given pixels. */
    images = null;
    given = null;
    #shown = 0;
    #tileScores = [];
    #run = 0;

    constructor(engine, root, report) {
        Object.assign(this, { engine, root, report });
        pad(root.querySelector(".pad"), true);
        this.readout = root.querySelector("[data-out=pixel]");
        this.heat = new Grid(root.querySelector("[data-canvas=heat]"), (...a) => this.#paintHeat(...a),
            (cell) => this.#point(cell, drawing.ink, this.scores));
        this.tiles = this.#makeTiles();
        this.#listen();
        drawing.addEventListener("change", () => this.#changed());
    }

    get model() {
        return this.root.querySelector("input[name=model]:checked").value;
    }

    #makeTiles() {
        const all = this.root.querySelector(".tiles");
        return Array.from({ length: TILES }, (_, k) => {
            const canvas = document.createElement("canvas");
            canvas.setAttribute("role", "img");
            canvas.setAttribute("aria-label", `completion ${k + 1} of ${TILES}; arrow keys move over its pixels`);
            all.append(canvas);
            return new Grid(canvas, (context) => this.#paintTile(context, k), (cell) => this.#pointTile(cell, k));
        });
    }

    #listen() {
        this.root.querySelectorAll("input[name=model], input[name=map]").forEach((input) =>
            input.addEventListener("change", () => (input.name === "model" ? this.start() : this.heat.repaint())));
        this.root.querySelectorAll("button[data-hide]").forEach((button) =>
            button.addEventListener("click", () => drawing.hide(HIDE[button.dataset.hide])));
        this.root.querySelector("[data-do=complete]").addEventListener("click", () => this.complete());
        this.root.querySelector("[data-do=again]").addEventListener("click", () => {
            this.seed.value = (Number(this.seed.value) || 0) + 1;
            this.complete();
        });
    }

    get seed() {
        return this.root.querySelector("input[name=seed]");
    }

    /** Scores the drawing and completes it. */
    async start() {
        await Promise.all([this.score(), this.complete()]);
    }

    #changed() {
        this.scores = null;
        this.heat.repaint();
        this.score();
    }

    async score() {
        const [ink, model] = [drawing.ink.slice(), this.model];
        const request = { do: "pixels", model, image: [...ink] };
        const answer = await this.engine.ask(request, { slot: "score" }).catch(this.report);
        if (!answer || model !== this.model || ink.some((x, i) => x !== drawing.ink[i])) return;
        this.scores = answer.numbers;
        const total = this.scores.subarray(PIXELS).reduce((a, b) => a + b, 0);
        this.root.querySelector("[data-out=total]").textContent = `−log p(x) = ${total.toFixed(1)} nats`;
        this.heat.repaint();
    }

    /** Draws six completions; resolves when all are shown. */
    async complete() {
        const run = ++this.#run;
        const given = Array.from(drawing.hidden, (hidden) => 1 - hidden);
        const request = {
            do: "complete", model: this.model, image: [...drawing.ink], given, count: TILES,
            seed: Math.max(0, Math.floor(Number(this.seed.value) || 0)),
        };
        const state = { images: Float32Array.from({ length: TILES * PIXELS }, (_, i) => request.image[i % PIXELS]) };
        const begin = () => {
            if (run !== this.#run) return;
            Object.assign(this, { images: state.images, given });
            this.#tileScores = [];
            this.#shown = 0;
        };
        begin();
        let done = 0;
        const showing = this.#show(run, () => done);
        const frame = (pixels, images) => {
            done = pixels;
            if (run === this.#run) this.images = images;
        };
        const answer = await this.engine.ask(request, { frame, slot: "complete" }).catch(this.report);
        if (!answer || run !== this.#run) return;
        this.images = answer.numbers;
        done = PIXELS;
        this.root.querySelector("[data-out=time]").textContent =
            `Six completions took ${answer.ms.toFixed(0)} ms on this device.`;
        await showing;
    }

    /** Shows the pixels in raster order, no faster than the engine draws them. */
    #show(run, done) {
        const begin = performance.now();
        const total = drawing.hidden.reduce((a, b) => a + b, 0);
        const speed = PIXELS / (SHOWN * Math.max(0.2, total / PIXELS));
        return new Promise((resolve) => {
            const step = (now) => {
                if (run !== this.#run) return resolve();
                const due = still.matches ? PIXELS : (now - begin) * speed;
                this.#shown = Math.min(done(), Math.floor(due));
                this.tiles.forEach((tile) => tile.repaint());
                if (this.#shown >= PIXELS) resolve();
                else requestAnimationFrame(step);
            };
            requestAnimationFrame(step);
        });
    }

    /** Whether all completions are drawn and shown. */
    get finished() {
        return this.#shown >= PIXELS;
    }

    #paintTile(context, k) {
        if (!this.images) return;
        const [tile, ink, fresh, veil] = ["tile", "ink", "new", "veil"].map((name) => rgb(colour(name)));
        const image = bitmap(SIDE, SIDE, (i) => {
            if (!this.given[i] && i >= this.#shown) return veil;
            if (this.images[k * PIXELS + i] < 0.5) return tile;
            return this.given[i] ? ink : fresh;
        });
        context.drawImage(image, 0, 0, SIDE, SIDE);
    }

    #paintHeat(context, pixel) {
        const map = this.root.querySelector("input[name=map]:checked").value;
        this.root.querySelector(".legend").dataset.map = map;
        const scores = this.scores;
        const heat = ramp(colour("heat").split(" "));
        const grey = greys();
        const of = map === "nats" ? (i) => heat(scores[PIXELS + i] / MOST) : (i) => grey(scores[i]);
        context.drawImage(bitmap(SIDE, SIDE, scores ? of : () => rgb(colour("tile"))), 0, 0, SIDE, SIDE);
        context.fillStyle = colour("accent");
        // The drawing itself: a dot in each pixel with ink.
        for (let i = 0; i < PIXELS; i++) {
            if (drawing.ink[i]) context.fillRect((i % SIDE) + 0.38, Math.floor(i / SIDE) + 0.38, 0.24, 0.24);
        }
        if (this.heat?.at != null) this.#paintPast(context, this.heat.at, pixel);
    }

    /** Outlines the pixels before a pixel, on which its probability depends. */
    #paintPast(context, at, pixel) {
        const [row, column] = [Math.floor(at / SIDE), at % SIDE];
        context.strokeStyle = colour("accent");
        context.lineWidth = 1.5 * pixel;
        context.beginPath();
        context.moveTo(0, row + 1);
        context.lineTo(column, row + 1);
        context.lineTo(column, row);
        context.lineTo(SIDE, row);
        context.stroke();
        context.strokeRect(column, row, 1, 1);
    }

    #point(cell, image, scores, from = 0, name = "Your drawing") {
        this.readout.parentElement.classList.toggle("pointed", cell !== null);
        if (cell === null || !scores) return;
        const [row, column] = [Math.floor(cell / SIDE), cell % SIDE];
        const ink = image[from + cell] >= 0.5;
        this.readout.textContent =
            `${name}, row ${row + 1}, column ${column + 1}: p(ink | previous pixels) = ${scores[cell].toFixed(3)}. ` +
            `It is ${ink ? "ink" : "paper"}: ${nats(scores[PIXELS + cell])} nats.`;
    }

    /** Shows the probability of a pixel of completion k. Its probabilities are computed when they are first needed. */
    async #pointTile(cell, k) {
        if (cell === null || !this.finished) return this.#point(null);
        const run = this.#run;
        if (!this.#tileScores[k]) {
            const image = [...this.images.subarray(k * PIXELS, (k + 1) * PIXELS)];
            const request = { do: "pixels", model: this.model, image };
            const answer = await this.engine.ask(request, { slot: "tile" }).catch(this.report);
            if (!answer || run !== this.#run) return;
            this.#tileScores[k] = answer.numbers;
        }
        const at = this.tiles[k].at;
        if (at !== null) this.#point(at, this.images, this.#tileScores[k], k * PIXELS, `Completion ${k + 1}`);
    }
}

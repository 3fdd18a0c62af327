// Station 4: trains a VAE from random weights.

import { PIXELS, SIDE, bitmap, colour, greys, keepPainted } from "./grid.js";

const SAMPLES = 16;
/** Time in ms between two updates of the pictures. */
const TURN = 150;
/** Range of the chart in nats/image; random weights start above 784 log 2 = 543. */
const RANGE = [80, 600];

export class Train {
    /** Losses of all steps in nats/image, and samples of the model. */
    losses = [];
    images = null;
    #running = false;
    #steps = 1;
    #ms = 0;

    constructor(engine, root, report) {
        Object.assign(this, { engine, root, report });
        this.chart = keepPainted(root.querySelector("[data-canvas=losses]"), (...a) => this.#paintLosses(...a));
        this.sheet = keepPainted(root.querySelector("[data-canvas=samples]"), (context) => this.#paintSamples(context));
        this.button = root.querySelector("[data-do=train]");
        this.button.addEventListener("click", () => (this.#running ? this.stop() : this.run()));
        root.querySelector("[data-do=fresh]").addEventListener("click", () => this.start());
        root.querySelectorAll("input[name=hidden]").forEach((input) =>
            input.addEventListener("change", () => this.start()));
        // Training pauses while the page is hidden.
        document.addEventListener("visibilitychange", () => document.hidden && this.stop());
    }

    /** Starts over with random weights. */
    async start() {
        this.stop();
        const hidden = Number(this.root.querySelector("input[name=hidden]:checked").value);
        const request = { do: "train-start", hidden, latent: 20, seed: 1 };
        const answer = await this.engine.ask(request).catch(this.report);
        if (!answer) return;
        this.losses = [];
        this.#steps = 1;
        this.#ms = 0;
        this.stop();
        await this.#picture();
    }

    stop() {
        this.#running = false;
        this.button.textContent = this.losses.length ? "Continue" : "Train";
    }

    /** Trains until it is stopped. */
    async run() {
        this.#running = true;
        this.button.textContent = "Pause";
        while (this.#running) await this.steps(this.#steps);
    }

    /** Trains for some steps and updates the pictures. */
    async steps(steps) {
        const answer = await this.engine.ask({ do: "train-steps", steps }).catch(this.report);
        if (!answer) return this.stop();
        this.losses.push(...answer.numbers);
        this.#ms += answer.ms;
        this.#steps = Math.min(Math.max(Math.round(TURN / (answer.ms / steps)), 1), 50);
        await this.#picture();
    }

    async #picture() {
        const answer = await this.engine.ask({ do: "train-samples", count: SAMPLES }).catch(this.report);
        if (!answer) return this.stop();
        this.images = answer.numbers;
        this.sheet();
        this.chart();
        this.root.querySelector("[data-out=loss]").textContent = this.#words();
    }

    #words() {
        const count = this.losses.length;
        if (!count) return "Random weights: every pixel is ink with a probability near one half.";
        const last = this.losses.slice(-20);
        const loss = last.reduce((a, b) => a + b, 0) / last.length;
        const speed = 100_000 * count / this.#ms;
        return `Step ${count}, ${(count / 50).toFixed(1)} epochs: ${loss.toFixed(1)} nats/image (mean of the last ` +
            `${last.length} steps). ${speed.toFixed(0)} images/s on the CPU.`;
    }

    #paintSamples(context) {
        if (!this.images) return;
        const [side, grey] = [4 * SIDE, greys()];
        const image = bitmap(side, side, (i) => {
            const [row, column] = [Math.floor(i / side), i % side];
            const k = Math.floor(row / SIDE) * 4 + Math.floor(column / SIDE);
            return grey(this.images[k * PIXELS + (row % SIDE) * SIDE + (column % SIDE)]);
        });
        context.drawImage(image, 0, 0, SIDE, SIDE);
    }

    /** Plots the losses against the steps, in units of cells, with a margin for the labels. */
    #paintLosses(context, pixel) {
        const [left, right, top, bottom] = [3.2, SIDE - 0.6, 0.8, SIDE - 1.8];
        const last = Math.max(this.losses.length, 50);
        const x = (step) => left + (right - left) * step / last;
        const y = (loss) => bottom - (bottom - top) * (Math.min(loss, RANGE[1]) - RANGE[0]) / (RANGE[1] - RANGE[0]);
        context.clearRect(0, 0, SIDE, SIDE);
        context.font = `${12 * pixel}px system-ui, sans-serif`;
        context.fillStyle = colour("muted");
        context.strokeStyle = colour("line");
        context.lineWidth = pixel;
        context.textAlign = "right";
        context.textBaseline = "middle";
        for (let loss = 100; loss <= 500; loss += 100) {
            context.fillText(loss, left - 0.4, y(loss));
            context.beginPath();
            context.moveTo(left, y(loss));
            context.lineTo(right, y(loss));
            context.stroke();
        }
        context.textBaseline = "top";
        context.fillText(`step ${last}`, right, bottom + 0.5);
        context.strokeStyle = colour("accent");
        context.lineWidth = 2 * pixel;
        context.beginPath();
        this.losses.forEach((loss, step) => context[step ? "lineTo" : "moveTo"](x(step + 1), y(loss)));
        context.stroke();
    }
}

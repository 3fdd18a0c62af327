// Station 4: trains a VAE from random weights, on the CPU or on WebGPU.

import { Devices } from "./devices.js";
import { PIXELS, SIDE, bitmap, colour, greys, keepPainted } from "./grid.js";

const SAMPLES = 16;
const LATENT = 20;
/** Time in ms between two updates of the pictures. */
const TURN = 150;
/** Range of the chart in nats/image; random weights start above 784 log 2 = 543. */
const RANGE = [80, 600];
const NAMES = { cpu: "the CPU", webgpu: "WebGPU" };

export class Train {
    /** Losses of all steps in nats/image, and samples of the model. */
    losses = [];
    images = null;
    #running = false;
    /** Steps between two updates of the pictures. */
    #steps = 1;
    /** Steps on each device, and the milliseconds that they took. */
    #speeds = {};
    #wanted = "cpu";
    #last = Promise.resolve();

    constructor(engine, root, report) {
        Object.assign(this, { root, report, devices: new Devices(engine) });
        this.chart = keepPainted(root.querySelector("[data-canvas=losses]"), (...a) => this.#paintLosses(...a));
        this.sheet = keepPainted(root.querySelector("[data-canvas=samples]"), (context) => this.#paintSamples(context));
        this.button = root.querySelector("[data-do=train]");
        this.button.addEventListener("click", () => (this.#running ? this.stop() : this.run()));
        root.querySelector("[data-do=fresh]").addEventListener("click", () => this.start());
        root.querySelectorAll("input[name=hidden]").forEach((input) =>
            input.addEventListener("change", () => this.start()));
        root.querySelectorAll("input[name=device]").forEach((input) =>
            input.addEventListener("change", () => this.choose(input.value)));
        // Training pauses while the page is hidden.
        document.addEventListener("visibilitychange", () => document.hidden && this.stop());
    }

    /** Says whether there is a choice of devices, and starts. */
    async open() {
        this.gpu = await this.devices.offered();
        this.root.querySelector("input[value=webgpu]").disabled = !this.gpu;
        this.#say(this.gpu
            ? `Training runs on the CPU. This browser also offers WebGPU (${this.gpu}).`
            : "This browser offers no WebGPU, so training runs on the CPU.");
        await this.start();
    }

    /** Starts over with random weights. */
    start() {
        this.stop();
        return this.#alone(async () => {
            const sizes = this.#sizes();
            const request = { do: "train-start", ...sizes, seed: 1 };
            const begin = async () => {
                const onGpu = this.devices.current === "webgpu";
                if (onGpu) await this.#prepare(sizes);
                await this.devices.engine.ask(request);
                await this.devices.copy(0, true);
                if (onGpu) this.#say(`Training runs on ${this.#words("webgpu")}.`);
                return true;
            };
            const started = await begin().catch((error) => this.#failed(error).then(begin)).catch(this.report);
            if (!started) return;
            this.losses = [];
            this.#steps = 1;
            this.#speeds = {};
            this.stop();
            await this.#picture();
        });
    }

    stop() {
        this.#running = false;
        this.button.textContent = this.losses.length ? "Continue" : "Train";
    }

    /** Trains until it is stopped. */
    async run() {
        this.#running = true;
        this.button.textContent = "Pause";
        while (this.#running) await this.#alone(() => this.#turn());
    }

    /** Moves the training to a device. The CPU trains while the kernels for WebGPU are compiled. */
    async choose(device) {
        this.#wanted = device;
        if (device === "webgpu") {
            const ready = await this.#prepare(this.#sizes()).then(() => true, (e) => this.#failed(e, device));
            if (!ready || this.#wanted !== device) return;
        }
        await this.#alone(async () => {
            await this.devices.move(device, this.losses.length).catch((error) => this.#failed(error, "webgpu"));
            this.#steps = 1;
            if (this.devices.current === device) this.#say(`Training runs on ${this.#words(device)}.`);
        });
    }

    #sizes() {
        return { hidden: Number(this.root.querySelector("input[name=hidden]:checked").value), latent: LATENT };
    }

    #say(text) {
        this.root.querySelector("[data-out=device]").textContent = text;
    }

    #words(device) {
        return device === "webgpu" ? `WebGPU (${this.gpu})` : NAMES[device];
    }

    /** Runs a job after those before it. */
    #alone(job) {
        const done = this.#last.then(job);
        this.#last = done.catch(() => {});
        return done;
    }

    async #prepare(sizes) {
        const note = (done, total) => {
            if (this.#wanted === "cpu") return;
            this.#say(`Compiling the kernels for WebGPU: ${done} of ${total} parts are done. The first time takes longest.`);
        };
        await this.devices.prepare(sizes, note);
    }

    /** After a failure of WebGPU, the CPU continues from the last copy of the training. */
    async #failed(error, device = this.devices.current) {
        if (device === "cpu") return this.#stopped(error);
        const steps = await this.devices.giveUp(this.losses.length).catch((e) => this.#stopped(e));
        if (steps === undefined) return;
        this.losses.length = steps;
        this.#steps = 1;
        this.#wanted = "cpu";
        this.root.querySelector("input[value=cpu]").checked = true;
        this.#say(`WebGPU failed: ${error.message.split(";")[0]}. The CPU has taken over, from step ${steps}.`);
    }

    #stopped(error) {
        this.stop();
        this.report(error);
    }

    /** Trains for some steps and updates the pictures. */
    async #turn() {
        const device = this.devices.current;
        const request = { do: "train-steps", steps: this.#steps };
        const answer = await this.devices.engine.ask(request).catch((error) => this.#failed(error));
        if (!answer) return;
        this.losses.push(...answer.numbers);
        const speed = (this.#speeds[device] ??= { steps: 0, ms: 0 });
        speed.steps += answer.numbers.length;
        speed.ms += answer.ms;
        this.#steps = Math.min(Math.max(Math.round(TURN * answer.numbers.length / answer.ms), 1), 50);
        await this.#picture();
    }

    async #picture() {
        const draw = async () => {
            const answer = await this.devices.engine.ask({ do: "train-samples", count: SAMPLES });
            await this.devices.copy(this.losses.length);
            return answer;
        };
        const answer = await draw().catch((error) => this.#failed(error));
        if (answer) this.images = answer.numbers;
        this.sheet();
        this.chart();
        this.root.querySelector("[data-out=loss]").textContent = this.#progress();
    }

    #progress() {
        const count = this.losses.length;
        if (!count) return "Random weights: every pixel is ink with a probability near one half.";
        const last = this.losses.slice(-20);
        const loss = last.reduce((a, b) => a + b, 0) / last.length;
        const speeds = Object.entries(this.#speeds).map(([device, { steps, ms }]) =>
            `${(100_000 * steps / ms).toFixed(0)} images/s on ${NAMES[device]}`);
        return `Step ${count}, ${(count / 50).toFixed(1)} epochs: ${loss.toFixed(1)} nats/image (mean of the last ` +
            `${last.length} steps). ${speeds.join(", ")}.`;
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

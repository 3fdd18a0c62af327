// The devices that station 4 trains on: the CPU's engine and, when it is first asked for, one for WebGPU. A training moves
// between them as a file. WebGPU has a worker of its own, so a failure there leaves the CPU's engine as it is.

import { Engine, WEBGPU } from "./engine.js";

/** The longest time in ms between two copies of a training on WebGPU, from which the CPU continues if it fails. */
const COPY_EVERY = 2000;

export class Devices {
    /** The name of the device that trains, "cpu" or "webgpu". */
    current = "cpu";
    /** The engine for WebGPU once it is started, otherwise null. */
    gpu = null;
    #compiled = new Map();
    /** The last copy of a training on WebGPU, the number of its steps, and the time when it was made. */
    #copy = null;

    constructor(cpu) {
        this.cpu = cpu;
    }

    /** The words for the GPU that the browser offers; null if it offers none. */
    async offered() {
        const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
        if (!adapter) return null;
        const { vendor, architecture, description, isFallbackAdapter } = adapter.info ?? {};
        const name = description || [vendor, architecture].filter(Boolean).join(" ") || "unnamed";
        return isFallbackAdapter ? `${name}, in software` : name;
    }

    get engine() {
        return this.current === "cpu" ? this.cpu : this.gpu;
    }

    /** Starts WebGPU and compiles its kernels for a VAE of these sizes, unless that is done. `frame` receives the steps. */
    async prepare(sizes, frame) {
        const key = JSON.stringify(sizes);
        if (!this.gpu) {
            this.gpu = new Engine(WEBGPU);
            this.#compiled.clear();
            this.#compiled.set("start", this.gpu.start());
        }
        await this.#compiled.get("start");
        if (!this.#compiled.has(key)) {
            frame?.(0, 4);
            this.#compiled.set(key, this.gpu.ask({ do: "compile", ...sizes }, { frame }));
        }
        return this.#compiled.get(key);
    }

    /** Moves a training of so far `steps` steps to a device; WebGPU has to be prepared. */
    async move(to, steps) {
        if (to === this.current) return;
        const training = await this.engine.save();
        await (to === "cpu" ? this.cpu : this.gpu).resume(training);
        this.current = to;
        this.#copy = { training, steps, time: performance.now() };
    }

    /** Copies the training if it is on WebGPU and the last copy is old, or if `now` is set. */
    async copy(steps, now = false) {
        if (this.current === "cpu" || (!now && performance.now() - this.#copy.time < COPY_EVERY)) return;
        this.#copy = { training: await this.engine.save(), steps, time: performance.now() };
    }

    /** Gives up WebGPU. Returns the number of steps of the training that the CPU continues with. */
    async giveUp(steps) {
        this.gpu?.stop("WebGPU is not in use");
        this.gpu = null;
        if (this.current === "cpu") return steps;
        this.current = "cpu";
        await this.cpu.resume(this.#copy.training);
        return this.#copy.steps;
    }
}

// The page's interface to an engine, the CPU's or that for WebGPU: starts its worker, loads a model when a station first
// needs it, and sends one request at a time.

const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%()*+,.:;=?@[]^_{|}~";
const VALUES = new Uint8Array(128);
[...DIGITS].forEach((digit, value) => (VALUES[digit.charCodeAt(0)] = value));

/** The bytes of an embedded file, which has five characters for four bytes (`base85` in `src/main.rs`). */
export function decoded(text) {
    const bytes = new Uint8Array(4 * Math.ceil(text.length / 5));
    const view = new DataView(bytes.buffer);
    for (let from = 0, to = 0; from < text.length; from += 5, to += 4) {
        let word = 0;
        // The largest digit in place of missing ones leaves the bytes that are there unchanged.
        for (let i = from; i < from + 5; i++) word = 85 * word + (i < text.length ? VALUES[text.charCodeAt(i)] : 84);
        view.setUint32(to, word);
    }
    return bytes.subarray(0, Math.floor(4 * text.length / 5));
}

/** The bytes of a file: embedded in the page if it is a single file, otherwise fetched from the server. */
async function asset(name) {
    const inside = document.getElementById(`file:${name}`);
    if (!inside) {
        const response = await fetch(name).catch(() => ({}));
        if (!response.ok) throw new Error(`cannot load ${name}; check the connection and try again`);
        return response.arrayBuffer();
    }
    const packed = decoded(inside.textContent.trim());
    if (!inside.dataset.gzip) return packed.slice().buffer;
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
}

/** The files that requests need, for requests that name no model. */
const NEEDS = {
    imagine: "models/draw.safetensors",
    read: "models/draw.safetensors",
    encode: "models/vae.safetensors",
    decode: "models/vae.safetensors",
    "train-start": "digits.idx",
    "train-steps": "digits.idx",
    compile: "digits.idx",
};

/**
 * The two engines: their files, and the longest time in ms without an answer or a report of progress. A GPU may hang, and its
 * driver may compile for minutes.
 */
export const CPU = { scripts: ["worker.js"], module: "engine.wasm", patience: Infinity };
export const WEBGPU = { scripts: ["bindings.js", "webgpu.js"], module: "webgpu.wasm", patience: 120_000 };

export class Engine {
    #kind;
    #worker;
    #running = null;
    #queue = [];
    #loaded = new Map();
    #count = 0;
    #stopped = "";
    #timer;

    constructor(kind = CPU) {
        this.#kind = kind;
    }

    /** Starts the worker. Returns the instruction set of the CPU's engine. */
    async start() {
        const sources = await Promise.all(this.#kind.scripts.map(asset));
        const url = URL.createObjectURL(new Blob(sources, { type: "text/javascript" }));
        this.#worker = new Worker(url);
        this.#worker.onmessage = ({ data }) => this.#receive(data);
        this.#worker.onerror = (event) => this.#receive({ error: event.message, dead: true });
        const data = await asset(this.#kind.module);
        if (!WebAssembly.validate(data)) {
            throw new Error("this browser lacks WebAssembly's 128-bit vectors; use a newer browser");
        }
        return this.#send({ kind: "start", data });
    }

    /**
     * Sends a request and returns the answer: its numbers and the milliseconds that it took. `frame` receives partial
     * images, or the steps of a compilation. A later request with the same `slot` replaces one that is still waiting, which
     * then returns null.
     */
    async ask(request, { frame, slot } = {}) {
        const file = request.model ? `models/${request.model}.safetensors` : NEEDS[request.do];
        if (file) await this.#load(file);
        return this.#send({ kind: "answer", request }, { frame, slot });
    }

    /** The training as a file, which `resume` of this or another engine accepts. */
    save() {
        return this.#send({ kind: "save" });
    }

    resume(training) {
        return this.#send({ kind: "load", data: training.slice() });
    }

    /** Ends the worker; all requests, those to come as well, fail with this message. */
    stop(why) {
        this.#worker?.terminate();
        clearTimeout(this.#timer);
        this.#stopped = why;
        const jobs = this.#running ? [this.#running, ...this.#queue] : this.#queue;
        [this.#running, this.#queue] = [null, []];
        jobs.forEach((job) => job.reject(new Error(why)));
    }

    #load(file) {
        if (!this.#loaded.has(file)) {
            const loading = asset(file).then((data) => this.#send({ kind: "load", data }));
            this.#loaded.set(file, loading);
            // If the download fails, the next request tries again.
            loading.catch(() => this.#loaded.delete(file));
        }
        return this.#loaded.get(file);
    }

    #send(message, { frame, slot } = {}) {
        if (this.#stopped) return Promise.reject(new Error(this.#stopped));
        return new Promise((resolve, reject) => {
            const job = { message: { ...message, id: ++this.#count }, frame, slot, resolve, reject };
            const waiting = slot ? this.#queue.findIndex((other) => other.slot === slot) : -1;
            if (waiting >= 0) this.#queue.splice(waiting, 1, job)[0].resolve(null);
            else this.#queue.push(job);
            this.#next();
        });
    }

    #next() {
        if (this.#running || this.#queue.length === 0) return;
        this.#running = this.#queue.shift();
        const { message } = this.#running;
        this.#worker.postMessage(message, message.data ? [message.data] : []);
        this.#watch();
    }

    /** Stops the engine if nothing is received for too long. */
    #watch() {
        clearTimeout(this.#timer);
        const { patience } = this.#kind;
        if (!this.#running || patience === Infinity) return;
        const why = `there was no answer within ${patience / 1000} seconds`;
        this.#timer = setTimeout(() => this.stop(why), patience);
    }

    #receive({ value, error, dead, progress }) {
        if (dead) return this.stop(`the engine stopped: ${error}`);
        const job = this.#running;
        if (!job) return;
        if (progress) {
            job.frame?.(...progress);
            return this.#watch();
        }
        this.#running = null;
        if (error === undefined) job.resolve(value);
        else job.reject(new Error(error));
        this.#next();
        this.#watch();
    }
}

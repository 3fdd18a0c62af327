// The page's interface to the engine: starts the worker, loads a model when a station first needs it, and sends one request
// at a time.

/** The bytes of a file: embedded in the page if it is a single file, otherwise fetched from the server. */
async function asset(name) {
    const inside = document.getElementById(`file:${name}`);
    if (!inside) {
        const response = await fetch(name).catch(() => ({}));
        if (!response.ok) throw new Error(`cannot load ${name}; check the connection and try again`);
        return response.arrayBuffer();
    }
    const packed = Uint8Array.from(atob(inside.textContent.trim()), (c) => c.charCodeAt(0));
    inside.remove();
    if (!inside.dataset.gzip) return packed.buffer;
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
};

export class Engine {
    #worker;
    #running = null;
    #queue = [];
    #loaded = new Map();
    #count = 0;

    /** Starts the worker and returns the instruction set that the kernels use. */
    async start() {
        const source = await asset("worker.js");
        const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
        this.#worker = new Worker(url);
        this.#worker.onmessage = ({ data }) => this.#receive(data);
        this.#worker.onerror = (event) => this.#receive({ error: event.message, dead: true });
        const data = await asset("engine.wasm");
        if (!WebAssembly.validate(data)) {
            throw new Error("this browser lacks WebAssembly's 128-bit vectors; use a newer browser");
        }
        return this.#send({ kind: "start", data });
    }

    /**
     * Sends a request and returns the answer: its numbers and the milliseconds that it took. `frame` receives partial
     * images. A later request with the same `slot` replaces one that is still waiting, which then returns null.
     */
    async ask(request, { frame, slot } = {}) {
        const file = request.model ? `models/${request.model}.safetensors` : NEEDS[request.do];
        if (file) await this.#load(file);
        return this.#send({ kind: "answer", request }, { frame, slot });
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
    }

    #receive({ value, error, dead, done, images }) {
        const job = this.#running;
        if (!job) return;
        if (done !== undefined) {
            job.frame?.(done, images);
            return;
        }
        this.#running = null;
        if (error === undefined) job.resolve(value);
        else job.reject(new Error(dead ? `the engine stopped: ${error}; reload the page` : error));
        this.#next();
    }
}

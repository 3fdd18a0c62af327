// The page's side of the engine: starts the worker, loads models when a station first needs them, and sends one request at
// a time.

/** The bytes of a file of the page: from the page itself, where it is one file, otherwise from beside it. */
async function asset(name) {
    const inside = document.getElementById(`file:${name}`);
    if (!inside) {
        const response = await fetch(name).catch(() => ({}));
        if (!response.ok) throw new Error(`${name} could not be loaded; check the connection and try again`);
        return response.arrayBuffer();
    }
    const packed = Uint8Array.from(atob(inside.textContent.trim()), (c) => c.charCodeAt(0));
    inside.remove();
    if (!inside.dataset.gzip) return packed.buffer;
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
}

/** The file that a request needs, if it names no model. */
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
            throw new Error("this browser lacks WebAssembly's 128-bit vectors, a newer one is needed");
        }
        return this.#send({ kind: "start", data });
    }

    /**
     * Answers a request: its numbers and the milliseconds it took. `frame` receives images on the way. A later request
     * with the same `slot` replaces one that has not begun, which then answers null.
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
            // After a failed download the next request tries again.
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

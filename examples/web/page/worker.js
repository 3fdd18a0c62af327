// Runs the engine for the CPU (WebAssembly) in its own thread: loads models and answers requests. It has no imports, so that
// the page can start it from its source text.

const text = new TextDecoder();
let wasm;
let current;

const bytes = (at, length) => new Uint8Array(wasm.memory.buffer, at, length);
const output = () => bytes(wasm.output(), wasm.output_bytes()).slice();

/** Copies bytes into the engine's memory. */
function put(data) {
    const at = wasm.reserve(data.length);
    bytes(at, data.length).set(data);
}

const page = {
    frame(done, at, length) {
        const images = new Float32Array(bytes(at, 4 * length).slice().buffer);
        postMessage({ id: current, progress: [done, images] });
    },
    panicked(at, length) {
        throw new Error(text.decode(bytes(at, length).slice()));
    },
};

const jobs = {
    async start({ data }) {
        wasm = (await WebAssembly.instantiate(data, { page })).instance.exports;
        wasm.start();
        return text.decode(output());
    },
    load({ data }) {
        put(new Uint8Array(data));
        const ok = wasm.load();
        if (!ok) throw new Error(text.decode(output()));
        return text.decode(output());
    },
    save() {
        const ok = wasm.save();
        if (!ok) throw new Error(text.decode(output()));
        return output().buffer;
    },
    answer({ request }) {
        put(new TextEncoder().encode(JSON.stringify(request)));
        const begin = performance.now();
        const ok = wasm.answer();
        const ms = performance.now() - begin;
        if (!ok) throw new Error(text.decode(output()));
        return { numbers: new Float32Array(output().buffer), ms };
    },
};

onmessage = async ({ data: job }) => {
    current = job.id;
    try {
        postMessage({ id: job.id, value: await jobs[job.kind](job) });
    } catch (error) {
        // After a trap (RuntimeError) the engine cannot be used again.
        const dead = error instanceof WebAssembly.RuntimeError;
        postMessage({ id: job.id, error: String(error.message ?? error), dead });
    }
};

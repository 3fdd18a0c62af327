// Compares every kernel, compiled for browsers, with its reference in Node: `node kernels.mjs ENGINE.wasm`, where the engine
// was built with the feature `check`.

import { readFileSync } from "node:fs";

const text = new TextDecoder();
let wasm;
const bytes = (at, length) => new Uint8Array(wasm.memory.buffer, at, length);
const page = {
    frame() {},
    panicked(at, length) {
        console.error(text.decode(bytes(at, length)));
    },
};
const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]), { page });
wasm = instance.exports;
wasm.start();
const output = () => bytes(wasm.output(), wasm.output_bytes()).slice();
const instructions = text.decode(output());
const request = new TextEncoder().encode(JSON.stringify({ do: "check" }));
bytes(wasm.reserve(request.length), request.length).set(request);
if (!wasm.answer()) {
    console.error(text.decode(output()));
    process.exit(1);
}
const [, cases] = new Float32Array(output().buffer);
if (instructions !== "SIMD128" || !(cases > 100)) {
    console.error(`${cases} cases with ${instructions}`);
    process.exit(1);
}
console.log(`${cases} cases agree with the reference, ${instructions}`);

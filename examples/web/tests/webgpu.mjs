// Tests station 4 on WebGPU, on Chromium's software GPU (SwiftShader). `examples/web/test` builds what this needs.

import assert from "node:assert/strict";

import { Browser } from "./browser.mjs";
import { difference, native, runAll, single } from "./common.mjs";

/** The largest allowed difference between the losses on WebGPU and those of the native program on the CPU. */
const TOLERANCE = 1e-4;
/** Seconds to wait: SwiftShader compiles for a minute, and a step takes seconds on a busy machine. */
const PATIENCE = 400;

const browser = new Browser({ webgpu: true });
const start = { do: "train-start", hidden: 100, latent: 20, seed: 1 };
const [, expected] = native([start, { do: "train-steps", steps: 400 }], []);
const train = "pixelloom.stations.train";
const losses = () => browser.run(`${train}.losses`);
const words = (name) => browser.run(`document.querySelector("#train [data-out=${name}]").textContent`);
/** Waits for the jobs of the station, and for nothing to be under way. */
const idle = () => browser.run(`${train}.choose(${train}.devices.current).then(() => 0)`);
const press = (name) => browser.click(`#train [data-do=${name}]`);

const until = (expression) => browser.until(expression, PATIENCE);

async function choose(device) {
    await browser.click(`#train input[value=${device}]`);
    await until(`${train}.devices.current === "${device}"`);
}

async function trainTo(steps) {
    await press("train");
    await until(`${train}.losses.length >= ${steps}`);
    await press("train");
    await idle();
}

/** Compares the losses so far with the native program's. */
async function compare() {
    const found = await losses();
    assert(found.length > 0 && found.length <= expected.length, `${found.length} steps`);
    const d = difference(found, expected.slice(0, found.length));
    assert(d <= TOLERANCE, `${found.length} steps: ${d}`);
    console.log(`    ${found.length} steps: ${d.toExponential(1)}`);
}

const tests = {
    async "training on WebGPU gives the losses of the CPU"() {
        assert.match(await words("device"), /also offers WebGPU \(.*swiftshader/i);
        const begin = Date.now();
        await choose("webgpu");
        console.log(`    the kernels were compiled after ${((Date.now() - begin) / 1000).toFixed(1)} s`);
        await until(`document.querySelector("#train [data-out=device]").textContent.startsWith("Training runs on WebGPU")`);
        await press("fresh");
        await idle();
        assert.deepEqual(await losses(), []);
        await trainTo(8);
        await compare();
        assert.match(await words("loss"), /^Step \d+, .* \d+ images\/s on WebGPU\.$/);
    },

    async "a training moves from one device to the other and back"() {
        await choose("cpu");
        await press("fresh");
        await idle();
        await trainTo(5);
        const before = (await losses()).length;
        await choose("webgpu");
        await trainTo(before + 4);
        const between = (await losses()).length;
        await choose("cpu");
        await trainTo(between + 10);
        await compare();
        assert.match(await words("loss"), /\d+ images\/s on the CPU, \d+ images\/s on WebGPU\.$/);
        assert.match(await words("device"), /^Training runs on the CPU/);
    },

    async "when the device is lost, the CPU continues"() {
        await choose("webgpu");
        await press("fresh");
        await idle();
        await press("train");
        await until(`${train}.losses.length >= 3`);
        await browser.run(`${train}.devices.engine.ask({ do: "destroy" }).then(() => 0)`);
        await until(`${train}.devices.current === "cpu"`);
        await until(`document.querySelector("#train [data-out=device]").textContent.includes("taken over")`);
        const text = await words("device");
        console.log(`    ${text}`);
        const [, step] = /^WebGPU failed: .+\. The CPU has taken over, from step (\d+)\.$/.exec(text);
        assert(await browser.run(`document.querySelector("#train input[value=cpu]").checked`));
        // It runs on by itself, and its losses are still the same.
        await until(`${train}.losses.length >= ${Number(step) + 10}`);
        await press("train");
        await idle();
        await compare();
        assert(await browser.run("document.getElementById('message').hidden"));
        // The browser gives another device.
        await choose("webgpu");
        const steps = (await losses()).length;
        await trainTo(steps + 2);
        await compare();
        await choose("cpu");
    },

    async "a failing start of WebGPU leaves the training on the CPU"() {
        await browser.run(`${train}.devices.prepare = () => Promise.reject(new Error("planted; advice"))`);
        await browser.click("#train input[value=webgpu]");
        await until(`document.querySelector("#train [data-out=device]").textContent.startsWith("WebGPU failed: planted. The CPU")`);
        assert.equal(await browser.run(`${train}.devices.current`), "cpu");
        await browser.run(`delete ${train}.devices.prepare`);
    },

    async "an engine that does not answer is stopped"() {
        const kind = `{ scripts: ["bindings.js", "webgpu.js"], module: "webgpu.wasm", patience: 1 }`;
        const start = `new pixelloom.engine.constructor(${kind}).start().then(() => "", (error) => error.message)`;
        assert.equal(await browser.run(start), "there was no answer within 0.001 seconds");
        assert.deepEqual(browser.errors, []);
    },
};

await runAll(browser, single, tests);

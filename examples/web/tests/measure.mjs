// Measures the page in a headless Chromium; the times are medians of seven, those of training of five: `node measure.mjs`.

import { Browser } from "./browser.mjs";

const browser = new Browser({ webgpu: true });
const url = new URL("../dist/pixelloom.html", import.meta.url).href;
const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
const starts = [];
for (let i = 0; i < 7; i++) {
    await browser.open(url);
    starts.push(await browser.run("pixelloom.started"));
}
console.log(await browser.run("navigator.userAgent"));
console.log(`start of the engine: ${median(starts).toFixed(0)} ms`);

const zeros = Array(784).fill(0);
const image = await browser.run("[...pixelloom.drawing.ink]");
const requests = [
    ...["pixelcnn", "rowlstm", "diagbilstm"].flatMap((model) => [
        { do: "complete", model, image: zeros, given: zeros, count: 1, seed: 1 },
        { do: "complete", model, image: zeros, given: zeros, count: 6, seed: 1 },
        { do: "pixels", model, image },
    ]),
    { do: "imagine", seed: 1 },
    { do: "read", image, seed: 1 },
    { do: "decode", z: [0.5, 0.5] },
    { do: "encode", image },
];
for (const request of requests) {
    const ask = `pixelloom.engine.ask(${JSON.stringify(request)}).then((answer) => answer.ms)`;
    const times = [];
    for (let i = 0; i < 8; i++) times.push(await browser.run(ask));
    // The first run is left out: it compiles the code.
    console.log(`${request.do} ${request.model ?? ""} ${request.count ?? ""}: ${median(times.slice(1)).toFixed(1)} ms`);
}
const train = "pixelloom.stations.train";
const ask = (device, request) =>
    browser.run(`${train}.devices.${device}.ask(${JSON.stringify(request)}).then((answer) => answer.ms)`);
for (const hidden of [100, 500]) {
    const begin = performance.now();
    await browser.run(`${train}.devices.prepare({ hidden: ${hidden}, latent: 20 }).then(() => 0)`);
    console.log(`WebGPU, ${hidden} hidden units: ready after ${((performance.now() - begin) / 1000).toFixed(1)} s`);
    for (const device of ["cpu", "gpu"]) {
        await ask(device, { do: "train-start", hidden, latent: 20, seed: 1 });
        const run = async (steps) => (await ask(device, { do: "train-steps", steps })) / steps;
        await run(1);
        const steps = Math.min(Math.max(Math.round(1000 / (await run(1))), 1), 50);
        const times = [];
        for (let i = 0; i < 5; i++) times.push(await run(steps));
        const speed = (1e5 / median(times)).toFixed(0);
        console.log(`training on the ${device}, ${hidden} hidden units: ${speed} images/s`);
    }
}
console.log(`WebGPU: ${await browser.run(`${train}.gpu`)}`);
await browser.close();

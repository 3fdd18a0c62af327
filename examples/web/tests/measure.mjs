// Measures the page in a headless Chromium; the times are medians of seven: `node measure.mjs`.

import { Browser } from "./browser.mjs";

const browser = new Browser();
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
for (const hidden of [100, 500]) {
    const ask = (request) => browser.run(`pixelloom.engine.ask(${JSON.stringify(request)}).then((answer) => answer.ms)`);
    await ask({ do: "train-start", hidden, latent: 20, seed: 1 });
    const times = [];
    for (let i = 0; i < 8; i++) times.push(await ask({ do: "train-steps", steps: 10 }));
    console.log(`training, ${hidden} hidden units: ${(1e6 / median(times.slice(1))).toFixed(0)} images/s`);
}
await browser.close();

// Tests the page in a headless Chromium: operates each station by its controls, and compares the engine's results with
// the native program and with stored samples. `examples/web/test` builds what this needs.

import assert from "node:assert/strict";
import { createReadStream, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

import { Browser } from "./browser.mjs";
import { difference, here, native, runAll, single } from "./common.mjs";

const MODELS = ["diagbilstm", "rowlstm", "pixelcnn"];
/** The largest allowed difference between the browser and the native program. */
const TOLERANCE = 1e-5;

/** The page's test images. */
const digits = [...readFileSync(join(here, "page/digits.js"), "utf8").matchAll(/"([0-9a-f]{196})"/g)].map(([, hex]) =>
    [...hex].flatMap((digit) => [3, 2, 1, 0].map((bit) => (parseInt(digit, 16) >> bit) & 1)));
const lower = Array.from({ length: 784 }, (_, i) => Number(i < 392));
const complete = (model, digit, seed) =>
    ({ do: "complete", model, image: digits[digit], given: lower, count: 6, seed });

/** The requests to both the browser and the native program. */
const requests = [
    ...MODELS.flatMap((model) => [3, 8].map((digit) => ({ do: "pixels", model, image: digits[digit] }))),
    ...MODELS.map((model) => complete(model, 3, 1)),
    { do: "imagine", seed: 5 },
    { do: "read", image: digits[3], seed: 5 },
    { do: "encode", image: digits[3] },
    { do: "decode", z: [0, 0, -1.5, 0.25, 3, -3] },
    { do: "train-start", hidden: 100, latent: 20, seed: 1 },
    { do: "train-steps", steps: 20 },
    { do: "train-samples", count: 16 },
];

/** Binary images as hexadecimal digits. */
const hex = (bits) => {
    assert(bits.every((bit) => bit === 0 || bit === 1));
    const digit = (_, i) => parseInt(bits.slice(4 * i, 4 * i + 4).join(""), 2).toString(16);
    return Array.from({ length: bits.length / 4 }, digit).join("");
};

const expected = native(requests, [...MODELS, "draw", "vae"]);
const browser = new Browser();
const output = (station, name) => browser.run(`document.querySelector("#${station} [data-out=${name}]").textContent`);
const answer = (request) => expected[requests.findIndex((r) => JSON.stringify(r) === JSON.stringify(request))];
/** Samples of every model at a fixed seed; `--store` replaces them. */
const samples = join(here, "tests/samples.json");
if (process.argv[2] === "--store") {
    const all = MODELS.map((model) => [model, hex(answer(complete(model, 3, 1)))]);
    writeFileSync(samples, `${JSON.stringify(Object.fromEntries(all), null, 1)}\n`);
}
const stored = JSON.parse(readFileSync(samples, "utf8"));
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
const example = (station, digit) => browser.click(`#${station} .examples button:nth-of-type(${digit + 1})`);
const focus = (selector) => browser.run(`document.querySelector(${JSON.stringify(selector)}).focus()`);
const ink = () => browser.run("pixelloom.drawing.ink.reduce((a, b) => a + b)");
/** Waits until the engine has answered everything. */
const quiet = async () => {
    await browser.run("pixelloom.engine.ask({ do: 'decode', z: [0, 0] }).then(() => 0)");
    await new Promise((resolve) => setTimeout(resolve, 50));
};

const tests = {
    async "the engine's results are those of the native program"() {
        for (const [i, request] of requests.entries()) {
            const ask = `pixelloom.engine.ask(${JSON.stringify(request)}).then((a) => [...a.numbers])`;
            const found = (await browser.run(`${ask}.then(JSON.stringify)`).then(JSON.parse));
            const d = difference(found, expected[i]);
            assert(d <= TOLERANCE, `${request.do} ${request.model ?? ""}: ${d}`);
            console.log(`    ${request.do} ${request.model ?? ""}: ${d.toExponential(1)}`);
        }
    },

    async "a request that cannot be answered says why"() {
        const message = (request) =>
            browser.run(`pixelloom.engine.ask(${request}).then(() => "", (error) => error.message)`);
        assert.match(await message("{ do: 'paint' }"), /unknown variant `paint`/);
        assert.match(await message("{ do: 'encode', image: [1] }"), /an image has 784 numbers, not 1/);
        assert.match(await message("{ do: 'pixels', model: 'missing', image: [] }"), /missing/);
        assert.match(await message("{ do: 'decode', z: [1, 2, 3] }"), /a point of the plane has 2 numbers/);
    },

    async "a drawing is completed in six ways, by every model"() {
        await example("complete", 3);
        await browser.click("#complete [data-hide=lower]");
        for (const model of MODELS) {
            await browser.click(`#complete input[value=${model}]`);
            await browser.run(`document.querySelector("#complete input[name=seed]").value = 1`);
            await browser.click("#complete [data-do=complete]");
            await quiet();
            await browser.until("pixelloom.stations.complete.finished");
            const images = await browser.run("[...pixelloom.stations.complete.images]");
            assert.equal(hex(images), stored[model], `${model}: other samples than stored`);
            const cost = sum(answer({ do: "pixels", model, image: digits[3] }).slice(784));
            assert.equal(await output("complete", "total"), `−log p(x) = ${cost.toFixed(1)} nats`);
        }
        await browser.click("#complete [data-do=again]");
        await quiet();
        await browser.until("pixelloom.stations.complete.finished");
        assert.notEqual(hex(await browser.run("[...pixelloom.stations.complete.images]")), stored.pixelcnn);
        assert.match(await output("complete", "time"), /took \d+ ms/);
    },

    async "the probability under the pointer is the model's"() {
        await browser.click("#complete input[value=diagbilstm]");
        await quiet();
        const [p, nats] = [0, 784].map((from) => answer({ do: "pixels", model: "diagbilstm", image: digits[3] })[from + 12 * 28 + 17]);
        await browser.point("[data-canvas=heat]", [17.5 / 28, 12.5 / 28]);
        const text = await output("complete", "pixel");
        assert(text.includes(`row 13, column 18: p(ink | previous pixels) = ${p.toFixed(3)}`), text);
        assert(text.includes(`${nats.toFixed(nats < 0.1 ? 3 : 2)} nats`), text);
        await focus("[data-canvas=heat]");
        await browser.key("ArrowRight");
        assert.match(await output("complete", "pixel"), /row 13, column 19/);
        await browser.until("pixelloom.stations.complete.finished");
        await browser.point("#complete .tiles canvas:nth-of-type(2)", [0.5, 0.9]);
        await browser.until("document.querySelector('#complete [data-out=pixel]').textContent.includes('Completion 2')");
    },

    async "the pad draws by mouse and by keyboard, erases, hides and undoes"() {
        const canvas = "#complete .pad canvas";
        await browser.click("#complete [data-do=clear]");
        assert.equal(await ink(), 0);
        await browser.drag(canvas, [[0.3, 0.3], [0.7, 0.3], [0.4, 0.8]]);
        const drawn = await ink();
        assert(drawn > 30 && drawn < 150, `${drawn} pixels`);
        await focus(canvas);
        await browser.key("Tab");
        await browser.key("Tab", 8);
        for (let i = 0; i < 3; i++) await browser.key("ArrowDown");
        await browser.key(" ");
        await browser.key("ArrowLeft", 8);
        const more = await ink();
        assert(more > drawn, "the keyboard draws nothing");
        await browser.click("#complete [data-do=undo]");
        await browser.click("#complete [data-do=undo]");
        assert.equal(await ink(), drawn);
        await browser.click("#complete .pad input[value=erase]");
        await browser.drag(canvas, [[0.3, 0.3], [0.7, 0.3]]);
        assert(await ink() < drawn, "nothing is erased");
        await browser.click("#complete [data-hide=nothing]");
        await browser.click("#complete .pad input[value=hide]");
        await browser.drag(canvas, [[0.2, 0.5], [0.8, 0.5]]);
        assert(await browser.run("pixelloom.drawing.hidden.reduce((a, b) => a + b)") > 40, "nothing is hidden");
        await browser.click("#complete .pad input[value=draw]");
    },

    async "DRAW imagines and reads, glimpse by glimpse"() {
        const seed = (n) => browser.run(`(() => {
            const input = document.querySelector("[name=draw-seed]");
            input.value = ${n};
            input.dispatchEvent(new Event("change"));
        })()`);
        await browser.click("#draw input[value=imagine]");
        await seed(5);
        await quiet();
        const glimpses = () => browser.run("JSON.stringify(pixelloom.stations.draw.glimpses.flatMap((g) => [...g]))").then(JSON.parse);
        assert(difference(await glimpses(), answer({ do: "imagine", seed: 5 })) <= TOLERANCE);
        assert.match(await output("draw", "bound"), /prior/);
        await example("draw", 3);
        await browser.click("#draw input[value=read]");
        await quiet();
        const read = answer({ do: "read", image: digits[3], seed: 5 });
        assert(difference(await glimpses(), read.slice(1)) <= TOLERANCE);
        const kl = sum(Array.from({ length: 20 }, (_, t) => read[1 + t * 795]));
        const text = await output("draw", "bound");
        assert(text.includes(`All glimpses ${kl.toFixed(1)} + reconstruction ${read[0].toFixed(1)}`), text);
        assert.equal(await output("draw", "glimpse"), "Glimpse 20 of 20");
        await focus("#draw input[type=range]");
        await browser.key("ArrowLeft");
        assert.equal(await output("draw", "glimpse"), "Glimpse 19 of 20");
        await browser.click("#draw .strip button:nth-of-type(4)");
        assert.equal(await output("draw", "glimpse"), "Glimpse 4 of 20");
        assert.equal(await browser.run("document.querySelectorAll('#draw .bars span').length"), 20);
        await browser.click("#draw [data-do=play]");
        assert.equal(await output("draw", "glimpse"), "Glimpse 1 of 20");
        await browser.until("document.querySelector('#draw [data-out=glimpse]').textContent === 'Glimpse 20 of 20'");
        await browser.until("document.querySelector('#draw [data-do=play]').textContent === 'Play'");
    },

    async "the pointer, arrow keys and sliders move the point on the plane"() {
        const z = () => output("plane", "z");
        await browser.click("[data-canvas=plane]", [0.5, 0.5]);
        assert.equal(await z(), "z = (0.00, 0.00)");
        await quiet();
        const means = await browser.run("[...pixelloom.stations.plane.means]");
        const centre = answer({ do: "decode", z: [0, 0, -1.5, 0.25, 3, -3] }).slice(0, 784);
        // The position of the pointer is rounded to screen pixels.
        assert(difference(means, centre) <= 0.05);
        await focus("[data-canvas=plane]");
        await browser.key("ArrowUp");
        await browser.key("ArrowRight", 8);
        assert.equal(await z(), "z = (0.50, 0.10)");
        await focus("#plane input[aria-label=z2]");
        await browser.key("ArrowLeft");
        assert.equal(await z(), "z = (0.50, 0.09)");
        await example("plane", 3);
        await quiet();
        const encoded = answer({ do: "encode", image: digits[3] });
        await browser.click("#plane [data-do=mine]");
        const [x, y] = encoded.slice(0, 2).map((v) => v.toFixed(2).replace("-", "−"));
        assert.equal(await z(), `z = (${x}, ${y})`);
        assert((await output("plane", "mine")).includes(`mean (${x}, ${y})`));
        assert(difference(await browser.run("[...pixelloom.stations.plane.mine.means]"), encoded.slice(6)) <= TOLERANCE);
    },

    async "a VAE is trained, paused and restarted"() {
        await browser.click("#train [data-do=fresh]");
        await quiet();
        assert.match(await output("train", "loss"), /^Random weights/);
        const before = await browser.run("[...pixelloom.stations.train.images]");
        await browser.click("#train [data-do=train]");
        await browser.until("pixelloom.stations.train.losses.length >= 20");
        await browser.click("#train [data-do=train]");
        assert.equal(await browser.run("document.querySelector('#train [data-do=train]').textContent"), "Continue");
        await quiet();
        const losses = await browser.run("pixelloom.stations.train.losses");
        assert(difference(losses.slice(0, 20), answer({ do: "train-steps", steps: 20 })) <= TOLERANCE);
        assert(losses.at(-1) < losses[0] - 100, `the loss went from ${losses[0]} to ${losses.at(-1)}`);
        assert.match(await output("train", "loss"), new RegExp(`^Step ${losses.length}, .* images/s on the CPU`));
        assert.notDeepEqual(await browser.run("[...pixelloom.stations.train.images]"), before);
        await browser.click("#train input[name=hidden][value='200']");
        await quiet();
        assert.equal(await browser.run("pixelloom.stations.train.losses.length"), 0);
    },

    async "without WebGPU the page says so"() {
        assert(await browser.run("document.querySelector('#train input[value=webgpu]').disabled"));
        assert.equal(await output("train", "device"), "This browser offers no WebGPU, so training runs on the CPU.");
    },

    async "the page is free of errors and says where it computes"() {
        assert.match(await browser.run("document.getElementById('device').textContent"), /CPU.*SIMD128/);
        assert(await browser.run("document.getElementById('message').hidden"));
        assert.deepEqual(browser.errors, []);
        const names = "[...document.querySelectorAll('canvas, input, button')].filter((e) => !(e.ariaLabel || e.labels?.length || e.textContent.trim() || e.closest('[aria-label]'))).length";
        assert.equal(await browser.run(names), 0, "a control has no name");
    },

    async "on a phone it fits, and a finger draws"() {
        await browser.open(single, { width: 390, height: 844, touch: true, dark: true });
        assert(await browser.run("document.documentElement.scrollWidth") <= 390, "wider than the phone");
        await browser.click("#complete [data-do=clear]");
        await browser.drag("#complete .pad canvas", [[0.3, 0.3], [0.7, 0.3]], true);
        assert(await ink() > 20, "the finger draws nothing");
        assert.deepEqual(browser.errors, []);
    },

    async "it also works as separate files on a server"() {
        const types = { js: "text/javascript", html: "text/html", css: "text/css", wasm: "application/wasm" };
        const server = createServer((request, response) => {
            const type = types[request.url.split(".").at(-1)] ?? "application/octet-stream";
            const file = createReadStream(join(here, "dist", request.url.replaceAll("..", "")));
            file.on("error", () => response.writeHead(404).end());
            file.on("open", () => file.pipe(response.writeHead(200, { "content-type": type })));
        });
        await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
        await browser.open(`http://127.0.0.1:${server.address().port}/index.html`);
        assert.deepEqual(browser.errors, []);
        assert(await browser.run("pixelloom.stations.complete.finished"));
        server.close();
    },
};

await runAll(browser, single, tests);

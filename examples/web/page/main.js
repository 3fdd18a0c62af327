// Starts the engine and the stations.

import { Complete } from "./complete.js";
import { Draw } from "./draw.js";
import { Engine } from "./engine.js";
import { drawing } from "./pad.js";
import { Plane } from "./plane.js";
import { Train } from "./train.js";

const message = document.getElementById("message");

/** Shows an error on the page. */
function report(error) {
    message.textContent = `Something went wrong: ${error.message}.`;
    message.hidden = false;
}

const engine = new Engine();
const find = (name) => document.getElementById(name);
const stations = {
    complete: new Complete(engine, find("complete"), report),
    draw: new Draw(engine, find("draw"), report),
    plane: new Plane(engine, find("plane"), report),
    train: new Train(engine, find("train"), report),
};
// For the browser's console and for tests.
globalThis.pixelloom = { engine, stations, drawing, ready: false };

async function start() {
    const begin = performance.now();
    const instructions = await engine.start();
    find("device").textContent =
        `Runs on one thread of this device's CPU, in WebAssembly with ${instructions} vector instructions. ` +
        "Station 4 can also train on WebGPU, where the browser offers it.";
    globalThis.pixelloom.started = performance.now() - begin;
    drawing.hide((row) => row >= 14);
    await stations.complete.start();
    await stations.plane.start();
    await stations.draw.start();
    await stations.train.open();
    globalThis.pixelloom.ready = true;
}

start().catch((error) => {
    find("device").textContent = "The engine did not start.";
    report(error);
});

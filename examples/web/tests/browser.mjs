// Drives a headless Chromium with the DevTools protocol over a pipe. Needs no npm package.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const NAMES = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome"];
const FLAGS = [
    "--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe",
];
/** WebGPU on the software GPU. */
const WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--disable-gpu-watchdog"];

/** The executable of the browser: the environment variable CHROMIUM, or an installed one. */
function program() {
    const names = process.env.CHROMIUM ? [process.env.CHROMIUM] : NAMES;
    const found = names.find((name) => spawnSync(name, ["--version"]).status === 0);
    if (!found) throw new Error(`no browser was found (${names.join(", ")}); install Chromium or name it by CHROMIUM`);
    return found;
}

export class Browser {
    #replies = new Map();
    #count = 0;
    #rest = "";

    constructor({ webgpu = false } = {}) {
        this.name = program();
        this.home = mkdtempSync(join(tmpdir(), "page-"));
        const stdio = ["ignore", "ignore", "ignore", "pipe", "pipe"];
        const flags = [...FLAGS, ...(webgpu ? WEBGPU : ["--disable-gpu"]), `--user-data-dir=${this.home}`];
        this.process = spawn(this.name, [...flags, "about:blank"], { stdio });
        this.process.stdio[4].setEncoding("utf8").on("data", (text) => this.#read(text));
        this.process.on("exit", () => this.#replies.forEach(({ reject }) => reject(new Error("the browser ended"))));
    }

    #read(text) {
        const messages = (this.#rest + text).split("\0");
        this.#rest = messages.pop();
        for (const message of messages.map((m) => JSON.parse(m))) {
            const waiting = this.#replies.get(message.id);
            if (message.method === "Runtime.exceptionThrown") this.errors?.push(message.params.exceptionDetails);
            if (!waiting) continue;
            this.#replies.delete(message.id);
            if (message.error) waiting.reject(new Error(message.error.message));
            else waiting.resolve(message.result);
        }
    }

    send(method, params = {}, sessionId = this.session) {
        const id = ++this.#count;
        this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
        return new Promise((resolve, reject) => this.#replies.set(id, { resolve, reject }));
    }

    /** Opens a page of the given width, and waits until it is ready. */
    async open(url, { width = 1280, height = 900, dark = false, touch = false } = {}) {
        if (this.target) await this.send("Target.closeTarget", { targetId: this.target }, undefined);
        this.errors = [];
        this.session = undefined;
        this.target = (await this.send("Target.createTarget", { url: "about:blank" })).targetId;
        const attached = await this.send("Target.attachToTarget", { targetId: this.target, flatten: true });
        this.session = attached.sessionId;
        await this.send("Page.enable");
        await this.send("Runtime.enable");
        const scale = { deviceScaleFactor: touch ? 2 : 1, mobile: touch };
        await this.send("Emulation.setDeviceMetricsOverride", { width, height, ...scale });
        await this.send("Emulation.setTouchEmulationEnabled", { enabled: touch });
        const features = [
            { name: "prefers-color-scheme", value: dark ? "dark" : "light" },
            { name: "prefers-reduced-motion", value: "reduce" },
        ];
        await this.send("Emulation.setEmulatedMedia", { features });
        await this.send("Page.navigate", { url });
        await this.until("globalThis.pixelloom?.ready");
    }

    /** The value of an expression in the page; waits for promises. */
    async run(expression) {
        const options = { expression, awaitPromise: true, returnByValue: true };
        const { result, exceptionDetails } = await this.send("Runtime.evaluate", options);
        if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description}`);
        return result.value;
    }

    /** Waits until an expression holds. */
    async until(expression, seconds = 60) {
        for (const end = Date.now() + 1000 * seconds; !(await this.run(`Boolean(${expression})`)); ) {
            if (Date.now() > end) throw new Error(`not within ${seconds} s: ${expression}`);
            await new Promise((resolve) => setTimeout(resolve, 50));
        }
    }

    /** Scrolls to an element and returns the window coordinates of a point in it, [x, y] from 0 to 1. */
    async place(selector, [x, y] = [0.5, 0.5]) {
        return this.run(`(() => {
            const element = document.querySelector(${JSON.stringify(selector)});
            element.scrollIntoView({ block: "center", behavior: "instant" });
            const box = element.getBoundingClientRect();
            return [box.left + ${x} * box.width, box.top + ${y} * box.height];
        })()`);
    }

    async mouse(type, [x, y], buttons = 0) {
        const button = type === "mouseMoved" ? "none" : "left";
        await this.send("Input.dispatchMouseEvent", { type, x, y, button, buttons, clickCount: 1 });
    }

    async click(selector, at) {
        const place = await this.place(selector, at);
        await this.mouse("mousePressed", place, 1);
        await this.mouse("mouseReleased", place);
    }

    async point(selector, at) {
        await this.mouse("mouseMoved", await this.place(selector, at));
    }

    /** Draws through points of an element, by mouse or by touch. */
    async drag(selector, places, finger = false) {
        const all = [];
        for (const at of places) all.push(await this.place(selector, at));
        const touch = (type, points) =>
            this.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y]) => ({ x, y })) });
        if (finger) {
            await touch("touchStart", [all[0]]);
            for (const at of all.slice(1)) await touch("touchMove", [at]);
            return touch("touchEnd", []);
        }
        await this.mouse("mousePressed", all[0], 1);
        for (const at of all.slice(1)) await this.mouse("mouseMoved", at, 1);
        return this.mouse("mouseReleased", all.at(-1));
    }

    /** Presses a key in the element that has the focus; `modifiers` 8 is Shift. */
    async key(key, modifiers = 0) {
        const codes = { Tab: 9, Enter: 13, " ": 32, ArrowLeft: 37, ArrowUp: 38, ArrowRight: 39, ArrowDown: 40 };
        const common = { key, code: key === " " ? "Space" : key, windowsVirtualKeyCode: codes[key], modifiers };
        await this.send("Input.dispatchKeyEvent", { type: "keyDown", text: key === " " ? " " : undefined, ...common });
        await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...common });
    }

    /** An element as a PNG. */
    async screenshot(selector) {
        const clip = await this.run(`(() => {
            const box = document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect();
            return { x: box.left + scrollX, y: box.top + scrollY, width: box.width, height: box.height, scale: 1 };
        })()`);
        const { data } = await this.send("Page.captureScreenshot", { clip, captureBeyondViewport: true });
        return Buffer.from(data, "base64");
    }

    async close() {
        const ended = new Promise((resolve) => this.process.once("exit", resolve));
        this.session = undefined;
        this.send("Browser.close").catch(() => {});
        await ended;
        rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
    }
}

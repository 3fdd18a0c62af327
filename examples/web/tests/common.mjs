// What the tests of the page share: the answers of the native program, and how a list of tests is run.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const here = fileURLToPath(new URL("..", import.meta.url));
/** The page as a single file. */
export const single = new URL("../dist/pixelloom.html", import.meta.url).href;

/** The answers of the native program to these requests, which may use these models and the digits. */
export function native(requests, models) {
    const folder = mkdtempSync(join(tmpdir(), "requests-"));
    const file = join(folder, "requests.json");
    writeFileSync(file, JSON.stringify(requests));
    const files = models.map((name) => join(here, `../../src/run/pretrained/${name}.safetensors`));
    const program = join(here, "target/quick/native");
    const options = [file, ...files, join(here, "dist/digits.idx")];
    const answers = JSON.parse(execFileSync(program, options, { maxBuffer: 1 << 26 }));
    rmSync(folder, { recursive: true });
    return answers;
}

/** The largest difference. NaN (no window; null in JSON) differs by 0 from NaN. */
export const difference = (a, b) => {
    assert.equal(a.length, b.length);
    const each = (x, i) => (x === null && b[i] === null ? 0 : Math.abs(x - b[i]) / Math.max(1, Math.abs(b[i])));
    return Math.max(0, ...a.map(each).map((d) => (Number.isNaN(d) ? Infinity : d)));
};

/** Opens the page, runs the tests, closes the browser, and ends the process with status 1 if a test failed. */
export async function runAll(browser, url, tests) {
    let failed = 0;
    try {
        await browser.open(url);
        console.log(`${await browser.run("navigator.userAgent")}; ready after ${await browser.run("performance.now() | 0")} ms`);
        for (const [name, test] of Object.entries(tests)) {
            try {
                await test();
                console.log(`ok      ${name}`);
            } catch (error) {
                failed++;
                console.log(`FAILED  ${name}\n${error.stack}`);
            }
        }
    } finally {
        await browser.close();
    }
    console.log(failed ? `${failed} failed` : "all passed");
    process.exit(failed ? 1 : 0);
}

// Screenshots of every station on a desktop and on a phone, light and dark, to be looked at: `node shots.mjs FOLDER`.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { Browser } from "./browser.mjs";

const folder = process.argv[2] ?? "shots";
mkdirSync(folder, { recursive: true });
const url = new URL("../dist/pixelloom.html", import.meta.url);
const phone = { width: 390, height: 844, touch: true };
const kinds = { desktop: {}, dark: { dark: true }, phone, "phone-dark": { ...phone, dark: true } };
const browser = new Browser({ webgpu: true });
for (const [kind, options] of Object.entries(kinds)) {
    await browser.open(url.href, options);
    await browser.click("#draw input[value=read]");
    await browser.until("pixelloom.stations.draw.reconstruction !== null");
    await browser.run(`(() => {
        const { slider } = pixelloom.stations.draw;
        slider.value = 9;
        slider.dispatchEvent(new Event("input"));
    })()`);
    await browser.click("#train [data-do=train]");
    await browser.until("pixelloom.stations.train.losses.length >= 60");
    await browser.click("#train input[value=webgpu]");
    await browser.until("pixelloom.stations.train.devices.current === 'webgpu'", 400);
    const steps = await browser.run("pixelloom.stations.train.losses.length");
    await browser.until(`pixelloom.stations.train.losses.length >= ${steps + 2}`, 400);
    await browser.click("#train [data-do=train]");
    await browser.click("[data-canvas=plane]", [0.3, 0.35]);
    await browser.point("[data-canvas=heat]", [0.62, 0.43]);
    await new Promise((resolve) => setTimeout(resolve, 400));
    for (const part of ["header", "#complete", "#draw", "#plane", "#train"]) {
        const file = join(folder, `${kind}-${part.replace("#", "")}.png`);
        writeFileSync(file, await browser.screenshot(part));
        console.log(file, ...browser.errors.map((error) => error.exception?.description ?? error.text));
    }
}
await browser.close();

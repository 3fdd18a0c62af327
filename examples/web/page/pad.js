// The drawing, which all stations share, and the pads on which it is drawn.

import { DIGITS } from "./digits.js";
import { Grid, PIXELS, SIDE, colour, move, paintGreys } from "./grid.js";

/** Radii in pixels: of the pen, and of the other tools. */
const PEN = 1.1;
const BRUSH = 2.2;

class Drawing extends EventTarget {
    ink = Uint8Array.from(DIGITS[3]);
    hidden = new Uint8Array(PIXELS);
    #before = [];

    /** Stores the drawing for undo. */
    begin() {
        this.#before.push([this.ink.slice(), this.hidden.slice()]);
        if (this.#before.length > 100) this.#before.shift();
    }

    undo() {
        const before = this.#before.pop();
        if (before) [this.ink, this.hidden] = before;
        this.changed();
    }

    set(ink) {
        this.begin();
        this.ink = Uint8Array.from(ink);
        this.changed();
    }

    /** Hides the pixels for which `of(row, column)` holds. */
    hide(of) {
        this.begin();
        this.hidden = Uint8Array.from({ length: PIXELS }, (_, i) => Number(of(Math.floor(i / SIDE), i % SIDE)));
        this.changed();
    }

    /** Uses a tool along a line from [row, column] to [row, column]. */
    stroke(tool, from, to) {
        const radius = tool === "draw" ? PEN : BRUSH;
        const along = [to[0] - from[0], to[1] - from[1]];
        const length = along[0] ** 2 + along[1] ** 2;
        for (let i = 0; i < PIXELS; i++) {
            const d = [Math.floor(i / SIDE) + 0.5 - from[0], (i % SIDE) + 0.5 - from[1]];
            const t = length ? Math.min(Math.max((d[0] * along[0] + d[1] * along[1]) / length, 0), 1) : 0;
            if (Math.hypot(d[0] - t * along[0], d[1] - t * along[1]) > radius) continue;
            if (tool === "draw") this.ink[i] = 1;
            if (tool === "erase") this.ink[i] = 0;
            if (tool === "hide") this.hidden[i] = 1;
            if (tool === "show") this.hidden[i] = 0;
        }
        this.changed();
    }

    changed() {
        this.dispatchEvent(new Event("change"));
    }
}

export const drawing = new Drawing();

/** Paints hidden pixels in another colour with stripes. */
function paintHidden(context, hidden, pixel) {
    context.fillStyle = colour("veil");
    for (let i = 0; i < PIXELS; i++) {
        if (hidden[i]) context.fillRect(i % SIDE, Math.floor(i / SIDE), 1, 1);
    }
    context.strokeStyle = colour("muted");
    context.lineWidth = pixel;
    context.beginPath();
    for (let i = 0; i < PIXELS; i++) {
        if (!hidden[i]) continue;
        context.moveTo(i % SIDE, Math.floor(i / SIDE) + 1);
        context.lineTo((i % SIDE) + 1, Math.floor(i / SIDE));
    }
    context.stroke();
}

/** Sets up the pad in `root`: its canvas and its buttons (`data-do`). `masks`: whether to show the hidden part. */
export function pad(root, masks) {
    const canvas = root.querySelector("canvas");
    const tool = () => root.querySelector("input[type=radio]:checked").value;
    const grid = new Grid(canvas, (context, pixel) => {
        paintGreys(context, drawing.ink);
        if (masks) paintHidden(context, drawing.hidden, pixel);
    });
    let last = null;
    canvas.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        canvas.setPointerCapture(event.pointerId);
        drawing.begin();
        last = grid.place(event);
        drawing.stroke(tool(), last, last);
    });
    canvas.addEventListener("pointermove", (event) => {
        if (!last) return;
        for (const step of event.getCoalescedEvents?.() ?? [event]) {
            const to = grid.place(step);
            drawing.stroke(tool(), last, to);
            last = to;
        }
    });
    ["pointerup", "pointercancel"].forEach((name) => canvas.addEventListener(name, () => (last = null)));
    canvas.addEventListener("keydown", (event) => padKey(event, grid, tool));
    const actions = { clear: () => drawing.set(new Uint8Array(PIXELS)), undo: () => drawing.undo() };
    root.querySelectorAll("button[data-do]").forEach((button) =>
        button.addEventListener("click", actions[button.dataset.do]));
    examples(root.querySelector(".examples"));
    drawing.addEventListener("change", grid.repaint);
}

/** Space and Enter use the tool at the selected cell; Shift with an arrow key draws along the way. */
function padKey(event, grid, tool) {
    const centre = () => [Math.floor(grid.at / SIDE) + 0.5, (grid.at % SIDE) + 0.5];
    if (grid.at === null) return;
    if ((event.ctrlKey || event.metaKey) && event.key === "z") drawing.undo();
    else if (event.key === " " || event.key === "Enter" || (event.shiftKey && move(event))) {
        drawing.begin();
        drawing.stroke(tool(), centre(), centre());
    } else return;
    event.preventDefault();
}

function examples(root) {
    DIGITS.forEach((digit, number) => {
        const button = document.createElement("button");
        button.textContent = number;
        button.title = `a test image of the digit ${number}`;
        button.addEventListener("click", () => drawing.set(digit));
        root.append(button);
    });
}

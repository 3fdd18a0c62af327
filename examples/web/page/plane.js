// Station 3: the plane of the two latent variables of a VAE.

import { Grid, PIXELS, SIDE, bitmap, colour, greys, keepPainted, move, paintGreys } from "./grid.js";
import { drawing, pad } from "./pad.js";

/** The plane extends from -REACH to REACH and shows DIGITS digits along each side. */
const REACH = 3;
const DIGITS = 13;

export class Plane {
    /** The selected point, the decoder's means there, and the drawing's encoding and reconstruction. */
    z = [0, 0];
    means = null;
    mine = null;
    #map = null;

    constructor(engine, root, report) {
        Object.assign(this, { engine, root, report });
        pad(root.querySelector(".pad"), false);
        this.canvas = root.querySelector("[data-canvas=plane]");
        this.sliders = [...root.querySelectorAll("input[type=range]")];
        this.repaint = keepPainted(this.canvas, (...a) => this.#paint(...a));
        const grid = (name, image) => new Grid(root.querySelector(`[data-canvas=${name}]`), (context) => {
            if (image()) paintGreys(context, image());
        });
        this.here = grid("here", () => this.means);
        this.back = grid("back", () => this.mine?.means);
        this.#listen();
        drawing.addEventListener("change", () => this.read());
    }

    async start() {
        const places = Array.from({ length: DIGITS }, (_, i) => (2 * (i + 0.5) / DIGITS - 1) * REACH);
        const z = places.flatMap((_, row) => places.flatMap((x) => [x, -places[row]]));
        const answer = await this.engine.ask({ do: "decode", z }).catch(this.report);
        if (!answer) return;
        this.#map = answer.numbers;
        await Promise.all([this.read(), this.walk(this.z)]);
    }

    #listen() {
        const walk = (event) => {
            const box = this.canvas.getBoundingClientRect();
            const part = [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height];
            this.walk(part.map((x) => (2 * x - 1) * REACH));
        };
        let down = false;
        this.canvas.addEventListener("pointerdown", (event) => {
            down = true;
            this.canvas.setPointerCapture(event.pointerId);
            walk(event);
        });
        this.canvas.addEventListener("pointermove", (event) => down && walk(event));
        ["pointerup", "pointercancel"].forEach((name) => this.canvas.addEventListener(name, () => (down = false)));
        this.canvas.addEventListener("keydown", (event) => {
            const by = move(event);
            if (!by) return;
            event.preventDefault();
            const step = event.shiftKey ? 0.5 : 0.1;
            this.walk([this.z[0] + step * by[1], this.z[1] - step * by[0]]);
        });
        this.sliders.forEach((slider) => slider.addEventListener("input", () =>
            this.walk(this.sliders.map((slider) => Number(slider.value)))));
        this.root.querySelector("[data-do=mine]").addEventListener("click", () => this.mine && this.walk(this.mine.mean));
    }

    /** Selects a point and decodes it. */
    async walk(z) {
        this.z = z.map((x) => Math.min(Math.max(x, -REACH), REACH));
        this.sliders.forEach((slider, i) => (slider.value = this.z[i]));
        this.repaint();
        const [x, y] = this.z.map((x) => x.toFixed(2).replace("-", "−"));
        this.root.querySelector("[data-out=z]").textContent = `z = (${x}, ${y})`;
        const answer = await this.engine.ask({ do: "decode", z: [...this.z] }, { slot: "walk" }).catch(this.report);
        if (!answer) return;
        this.means = answer.numbers;
        this.here.repaint();
    }

    /** Encodes the drawing, and decodes the mean of q(z|x). */
    async read() {
        const request = { do: "encode", image: [...drawing.ink] };
        const answer = await this.engine.ask(request, { slot: "encode" }).catch(this.report);
        if (!answer) return;
        const numbers = [...answer.numbers];
        const [reconstruction, kl] = numbers.slice(4, 6);
        this.mine = {
            mean: numbers.slice(0, 2),
            deviation: numbers.slice(2, 4).map((logVariance) => Math.exp(0.5 * logVariance)),
            means: answer.numbers.subarray(answer.numbers.length - PIXELS),
        };
        const [x, y] = this.mine.mean.map((x) => x.toFixed(2).replace("-", "−"));
        const [sx, sy] = this.mine.deviation.map((x) => x.toFixed(2));
        this.root.querySelector("[data-out=mine]").textContent =
            `q(z|x): mean (${x}, ${y}), standard deviations (${sx}, ${sy}). Reconstruction ${reconstruction.toFixed(1)} + KL ` +
            `${kl.toFixed(1)} = ${(reconstruction + kl).toFixed(1)} nats, an upper bound on −log p(x).`;
        this.repaint();
        this.back.repaint();
    }

    #paint(context, pixel) {
        const grey = greys();
        if (this.#map) {
            const side = DIGITS * SIDE;
            const image = bitmap(side, side, (i) => {
                const [row, column] = [Math.floor(i / side), i % side];
                const digit = Math.floor(row / SIDE) * DIGITS + Math.floor(column / SIDE);
                return grey(0.75 * this.#map[digit * PIXELS + (row % SIDE) * SIDE + (column % SIDE)]);
            });
            context.imageSmoothingEnabled = true;
            context.drawImage(image, 0, 0, SIDE, SIDE);
        }
        const place = ([x, y]) => [(x / REACH + 1) / 2 * SIDE, (1 - y / REACH) / 2 * SIDE];
        this.#axes(context, pixel);
        if (this.mine) this.#ellipse(context, pixel, place(this.mine.mean));
        const [x, y] = place(this.z);
        context.lineWidth = 2.5 * pixel;
        context.strokeStyle = colour("accent");
        context.strokeRect(x - SIDE / DIGITS / 2, y - SIDE / DIGITS / 2, SIDE / DIGITS, SIDE / DIGITS);
    }

    #axes(context, pixel) {
        context.strokeStyle = colour("line");
        context.lineWidth = pixel;
        context.beginPath();
        context.moveTo(SIDE / 2, 0);
        context.lineTo(SIDE / 2, SIDE);
        context.moveTo(0, SIDE / 2);
        context.lineTo(SIDE, SIDE / 2);
        context.stroke();
    }

    /** Draws q(z|x) of the drawing: two standard deviations around its mean. */
    #ellipse(context, pixel, [x, y]) {
        const radius = this.mine.deviation.map((s) => Math.max(2 * s / REACH / 2 * SIDE, 4 * pixel));
        context.lineWidth = 2 * pixel;
        context.strokeStyle = context.fillStyle = colour("write");
        context.beginPath();
        context.ellipse(x, y, radius[0], radius[1], 0, 0, 2 * Math.PI);
        context.stroke();
        context.beginPath();
        context.arc(x, y, 2.5 * pixel, 0, 2 * Math.PI);
        context.fill();
    }
}

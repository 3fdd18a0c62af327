// A canvas of 28 x 28 cells, which can be selected by pointer or by keyboard.

export const SIDE = 28;
export const PIXELS = SIDE * SIDE;

/** The value of a colour variable in the style sheet. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Functions that repaint a canvas, called when the colours change between light and dark. */
const repaints = new Set();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => repaints.forEach((paint) => paint()));

/** Red, green and blue of "#rrggbb". */
export const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

/** A function from [0, 1] to red, green and blue that interpolates between equally spaced colours. */
export function ramp(colours) {
    const stops = colours.map(rgb);
    return (x) => {
        const place = Math.min(Math.max(x, 0), 1) * (stops.length - 1);
        const i = Math.min(Math.floor(place), stops.length - 2);
        return stops[i].map((c, k) => Math.round(c + (stops[i + 1][k] - c) * (place - i)));
    };
}

/** Colours from paper (0) to ink (1). */
export const greys = () => ramp([colour("tile"), colour("ink")]);

/** An image in which pixel i, in row-major order, has the colour `of(i)`: red, green and blue. */
export function bitmap(width, height, of) {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
        image.data.set(of(i), 4 * i);
        image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return canvas;
}

const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/** The direction of an arrow key, [rows, columns], or undefined for another key. */
export const move = (event) => (event.ctrlKey || event.metaKey || event.altKey ? undefined : MOVES[event.key]);

/** Gives a canvas the resolution of the screen, and paints it whenever its size or the colours change. Returns the painter. */
export function keepPainted(canvas, paint) {
    const all = () => {
        const size = canvas.clientWidth * devicePixelRatio;
        if (size === 0) return;
        const cells = Number(canvas.dataset.cells ?? SIDE);
        const side = cells * Math.max(1, Math.round(size / cells));
        if (canvas.width !== side) Object.assign(canvas, { width: side, height: side });
        const context = canvas.getContext("2d");
        context.imageSmoothingEnabled = false;
        context.setTransform(side / cells, 0, 0, side / cells, 0, 0);
        paint(context, cells / size * devicePixelRatio);
    };
    new ResizeObserver(all).observe(canvas);
    repaints.add(all);
    return all;
}

export class Grid {
    /** The selected cell, or null. */
    at = null;
    #keyed = false;

    /**
     * `paint(context, pixel)` draws in units of cells; `pixel` is the size of a screen pixel in these units.
     * `point(cell)` is called when the selected cell changes, with null for none.
     */
    constructor(canvas, paint, point = () => {}) {
        this.canvas = canvas;
        this.point = point;
        this.repaint = keepPainted(canvas, (context, pixel) => {
            context.clearRect(0, 0, SIDE, SIDE);
            paint(context, pixel);
            if (this.#keyed && this.at !== null) this.#cursor(context, pixel);
        });
        canvas.tabIndex = 0;
        canvas.addEventListener("pointermove", (event) => this.#to(this.cell(event), false));
        canvas.addEventListener("pointerleave", () => this.#to(null, false));
        canvas.addEventListener("blur", () => this.#to(null, false));
        canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && this.#to(this.at ?? 406, true));
        canvas.addEventListener("keydown", (event) => this.key(event));
    }

    /** The position of an event in units of cells, [row, column]. */
    place(event) {
        const box = this.canvas.getBoundingClientRect();
        return [(event.clientY - box.top) / box.height * SIDE, (event.clientX - box.left) / box.width * SIDE];
    }

    cell(event) {
        const [row, column] = this.place(event).map(Math.floor);
        return row >= 0 && row < SIDE && column >= 0 && column < SIDE ? row * SIDE + column : null;
    }

    key(event) {
        const by = move(event);
        if (!by) return;
        event.preventDefault();
        const from = this.at ?? 406;
        const within = (x) => Math.min(Math.max(x, 0), SIDE - 1);
        this.#to(within(Math.floor(from / SIDE) + by[0]) * SIDE + within((from % SIDE) + by[1]), true);
    }

    #to(cell, keyed) {
        if (cell === this.at && keyed === this.#keyed) return;
        this.at = cell;
        this.#keyed = keyed;
        this.point(cell);
        this.repaint();
    }

    #cursor(context, pixel) {
        const [row, column] = [Math.floor(this.at / SIDE), this.at % SIDE];
        context.lineWidth = 2 * pixel;
        context.strokeStyle = colour("accent");
        context.strokeRect(column - pixel, row - pixel, 1 + 2 * pixel, 1 + 2 * pixel);
    }
}

/** Draws an image of numbers in [0, 1] over the whole canvas. */
export function paintGreys(context, image, from = 0) {
    const grey = greys();
    context.drawImage(bitmap(SIDE, SIDE, (i) => grey(image[from + i])), 0, 0, SIDE, SIDE);
}

// Trains on WebGPU in a thread of its own, with the same messages as worker.js. The page puts the bindings in front of this
// source; they define `webgpu_module`.

let trainer;

const jobs = {
    async start({ data }) {
        await webgpu_module({ module_or_path: data });
        trainer = await webgpu_module.WebGpu.open();
    },
    load({ data }) {
        return trainer.load(new Uint8Array(data));
    },
    async save() {
        return (await trainer.save()).buffer;
    },
    async answer({ id, request }) {
        const begin = performance.now();
        let numbers = new Float32Array();
        if (request.do === "compile") {
            const progress = (...steps) => postMessage({ id, progress: steps });
            await trainer.compile(request.hidden, request.latent, progress);
        } else if (request.do === "destroy") {
            trainer.destroy();
        } else {
            numbers = await trainer.answer(JSON.stringify(request));
        }
        return { numbers, ms: performance.now() - begin };
    },
};

onmessage = async ({ data: job }) => {
    try {
        postMessage({ id: job.id, value: await jobs[job.kind](job) });
    } catch (error) {
        postMessage({ id: job.id, error: String(error?.message ?? error) });
    }
};

// A panic in code that the browser calls back reaches no request.
onunhandledrejection = ({ reason }) => postMessage({ error: String(reason?.message ?? reason), dead: true });

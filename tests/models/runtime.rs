//! Properties of a training step: the same bits for any number of threads, constant memory, a known number of
//! dispatches, and no read-back from the GPU.

#[cfg(feature = "gpu")]
use crate::common;
use pixelloom::autograd::Gradients;
use pixelloom::autograd::case::distance;
use pixelloom::cpu::Cpu;
use pixelloom::models::Model;
use pixelloom::models::draw::{Classifier, ClassifierConfig, Draw, DrawConfig};
use pixelloom::models::halves::loss_and_gradients;
use pixelloom::models::pixel::{Body, MultiScale, MultiScaleConfig, PixelConfig, PixelModel};
use pixelloom::models::vae::{Vae, VaeConfig};
use pixelloom::nn::{Optimizer, OptimizerConfig};
use pixelloom::ops::optimizer::Rule;
use pixelloom::ops::random;
use pixelloom::profile::Profile;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tape, Tensor};

/// A model, its optimiser and a batch of synthetic binary images.
struct Training {
    model: Box<dyn Model>,
    optimizer: Optimizer,
    x: Vec<f32>,
    rows: usize,
    device: Device,
}

/// Makes a model with the given number of hidden units or channels.
type Make = fn(&Device, usize) -> Box<dyn Model>;

fn vae(device: &Device, hidden: usize) -> Box<dyn Model> {
    Box::new(Vae::new(device, VaeConfig { hidden, ..VaeConfig::mnist(20) }, 3))
}

/// The configuration of a pixel model for 8 x 6 images.
fn sizes(hidden: usize) -> PixelConfig {
    let (height, width, head) = (8, 6, hidden + 1);
    PixelConfig { height, width, head, learned_states: true, ..PixelConfig::mnist(2, hidden) }
}

fn pixel(device: &Device, body: Body, hidden: usize) -> Box<dyn Model> {
    Box::new(PixelModel::new(device, body, sizes(hidden), 3))
}

fn chain(device: &Device, hidden: usize) -> Box<dyn Model> {
    let net = PixelConfig { skip: true, ..sizes(hidden) };
    let config = MultiScaleConfig::new(Body::DiagBilstm, net, vec![2]);
    Box::new(MultiScale::new(device, config, 3))
}

/// DRAW for 8 x 6 images.
fn draw(device: &Device, hidden: usize, attention: bool, glimpses: usize) -> Box<dyn Model> {
    let sizes = DrawConfig { height: 8, width: 6, hidden, latent: 5, ..DrawConfig::mnist() };
    Box::new(Draw::new(device, DrawConfig { attention, glimpses, ..sizes }, 3))
}

fn classifier(device: &Device, hidden: usize) -> Box<dyn Model> {
    let sizes = ClassifierConfig {
        height: 8,
        width: 6,
        glimpses: 3,
        hidden,
        read: 3,
        ..ClassifierConfig::cluttered(8)
    };
    Box::new(Classifier::new(device, sizes, 3))
}

/// A model of every kind, the pixels of an image, and the dispatches of one step with Adam and clipping on a GPU
/// and on the CPU. They differ because a GPU updates all parameters in one launch (`nn/arena.rs`) and adds parts of
/// gradients in other kernels, and because the CPU adds the gradient of a shared weight use by use (`ops/shared/mod.rs`)
/// and computes the gradients of their biases in separate launches. With 20 hidden units a scan is
/// too large for one launch. It takes one dispatch per row or diagonal, forward and backward: 8 for the rows of these
/// images, 13 for their diagonals in both directions together.
const MODELS: [(&str, Make, usize, [u64; 2]); 10] = [
    ("vae", vae, 784, [44, 72]),
    ("pixelcnn", |d, h| pixel(d, Body::PixelCnn, h), 48, [78, 132]),
    ("rowlstm", |d, h| pixel(d, Body::RowLstm, h), 48, [126, 188]),
    ("diagbilstm", |d, h| pixel(d, Body::DiagBilstm, h), 48, [268, 356]),
    ("multiscale", chain, 48, [573, 792]),
    ("draw", |d, h| draw(d, h, true, 3), 48, [88, 161]),
    ("draw, one glimpse more", |d, h| draw(d, h, true, 4), 48, [108, 189]),
    ("draw without attention", |d, h| draw(d, h, false, 3), 48, [98, 155]),
    ("draw without attention, one glimpse more", |d, h| draw(d, h, false, 4), 48, [123, 186]),
    ("classifier", classifier, 48, [40, 67]),
];

const ROWS: usize = 33;

impl Training {
    fn new(device: &Device, make: Make, dims: usize, hidden: usize, rule: Rule) -> Training {
        Training::of(device, make(device, hidden), (ROWS, dims), rule)
    }

    fn of(
        device: &Device,
        model: Box<dyn Model>,
        (rows, dims): (usize, usize),
        rule: Rule,
    ) -> Training {
        let key = Key::new(1, stream::TEST, 0);
        let x = (0..(rows * dims) as u64).map(|i| f32::from(key.uniform(i) < 0.2)).collect();
        let settings =
            OptimizerConfig { clip: Some(100.0), decay: 1e-4, ..OptimizerConfig::new(rule, 1e-3) };
        Training { model, optimizer: Optimizer::new(settings), x, rows, device: device.clone() }
    }

    /// The loss of a step and its gradients.
    fn gradients(&self, number: u32) -> (Tensor, Gradients) {
        let tape = Tape::new();
        let shape = [self.rows, self.x.len() / self.rows];
        let x = tape.constant(Tensor::new(&self.device, &self.x, &shape));
        let key = Key::new(1, stream::LATENT, number);
        let labels: Vec<f32> = (0..self.rows).map(|i| (i % 10) as f32).collect();
        let labels = Tensor::new(&self.device, &labels, &[self.rows]);
        let prepared = self.model.prepare(x.value(), Some(&labels), key).unwrap();
        let loss = self.model.loss(&x, &prepared, key);
        (loss.value().clone(), tape.backward_from(&loss))
    }

    fn step(&mut self, number: u32) -> Tensor {
        let (loss, gradients) = self.gradients(number);
        self.optimizer.step(&*self.model, &gradients);
        loss
    }

    fn weights(&self) -> Vec<u32> {
        let all = self.model.parameters();
        all.iter().flat_map(|(_, p)| p.value().to_vec().unwrap()).map(f32::to_bits).collect()
    }
}

#[test]
fn the_same_bits_with_one_two_and_four_threads() {
    let run = |threads: usize, (make, dims, hidden): (Make, usize, usize), rule: Rule| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut training = Training::new(&Device::cpu(), make, dims, hidden, rule);
            (0..3).for_each(|step| drop(training.step(step)));
            training.weights()
        })
    };
    for (name, make, dims, _) in MODELS {
        for rule in [Rule::Adam, Rule::Adagrad] {
            let model = (make, dims, if name == "vae" { 500 } else { 16 });
            let one = run(1, model, rule);
            let same = one == run(2, model, rule) && one == run(4, model, rule);
            assert!(same, "{name}, {rule:?}: bits depend on threads");
            assert!(one == run(1, model, rule), "{name}, {rule:?}: the same run twice differs");
        }
    }
}

/// A profile counts every launch once, its total time does not exceed that of the steps, and results are unchanged.
#[test]
fn a_profile_has_the_known_dispatches_and_no_more_time_than_passed() {
    let mut wrong = Vec::new();
    for (name, make, dims, [_, dispatches]) in MODELS {
        let device = Device::cpu();
        let mut training = Training::new(&device, make, dims, 20, Rule::Adam);
        let mut plain = Training::new(&Device::cpu(), make, dims, 20, Rule::Adam);
        // The first step also creates the state of the optimiser.
        assert_eq!(training.step(0).item().unwrap(), plain.step(0).item().unwrap(), "{name}");
        let mut profile = Profile::default();
        for step in 1..4 {
            let loss = device.profiled(&mut profile, || training.step(step)).unwrap();
            assert_eq!(
                loss.item().unwrap(),
                plain.step(step).item().unwrap(),
                "{name}: profiled, the loss differs"
            );
        }
        assert!(training.weights() == plain.weights(), "{name}: profiled, the weights differ");
        training.step(4);
        let total = profile.total();
        assert_eq!(profile.runs, 3);
        if total.dispatches != 3 * dispatches {
            wrong.push(format!("{name}: {} dispatches in 3 steps", total.dispatches));
        }
        assert!(0.0 < total.seconds && total.seconds <= profile.seconds, "{name}: {profile:?}");
        assert!(profile.kernels.values().all(|k| k.calls > 0 && k.seconds > 0.0 && k.bytes > 0));
        if name == "vae" {
            // Five products forward, five for the gradients of weights, and four for those of inputs, since the
            // image has no gradient.
            let matmul = profile.kernels["matmul"];
            assert_eq!(matmul.calls, 3 * 14);
            let products =
                2 * ROWS as u64 * (3 * (784 * 20 + 2 * 20 * 20 + 20 * 20 + 20 * 784) - 784 * 20);
            assert_eq!(matmul.flops, 3 * products);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Halves of a batch that run concurrently share the elapsed time instead of counting it twice. On one thread they
/// account for most of it.
#[test]
fn a_profile_of_parts_has_the_time_that_passed() {
    let device = Device::cpu();
    let model = PixelModel::new(&device, Body::PixelCnn, PixelConfig::mnist(2, 16), 3);
    let key = Key::new(1, stream::TEST, 0);
    let x = random::uniform(&device, key, &[16, 784]);
    for (threads, least) in [(1, 0.6), (2, 0.0)] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut profile = Profile::default();
        let step = || drop(loss_and_gradients(&model, &x, &[], key));
        pool.install(|| {
            step();
            (0..5).for_each(|_| device.profiled(&mut profile, step).unwrap());
        });
        let share = profile.total().seconds / profile.seconds;
        assert!(least < share && share <= 1.0, "{threads} threads: {share}: {profile:?}");
    }
}

#[test]
fn memory_of_a_step_is_constant_on_the_cpu() {
    for (name, make, dims, _) in MODELS {
        let cpu = Cpu::new();
        let mut training = Training::new(&Device::Cpu(cpu.clone()), make, dims, 10, Rule::Adam);
        (0..3).for_each(|step| drop(training.step(step)));
        let settled = cpu.stats();
        for step in 3..30 {
            training.step(step);
            assert_eq!(cpu.stats(), settled, "{name}, step {step}");
        }
    }
}

#[cfg(feature = "gpu")]
#[test]
fn a_step_on_the_gpu_has_known_dispatches_no_read_back_and_constant_memory() {
    let Some(gpu) = common::open_with(pixelloom::gpu::GpuOptions::default()) else { return };
    let device = Device::Gpu(gpu.clone());
    let mut wrong = Vec::new();
    for (name, make, dims, [dispatches, _]) in MODELS {
        let mut training = Training::new(&device, make, dims, 20, Rule::Adam);
        let mut before = gpu.stats();
        for step in 0..7 {
            drop(training.step(step));
            device.flush().unwrap();
            let now = gpu.stats();
            let counted = now.dispatches - before.dispatches;
            if step >= 3 {
                if counted != dispatches {
                    wrong.push(format!("{name}: {counted} dispatches in step {step}"));
                }
                assert_eq!(now.live_bytes, before.live_bytes, "{name}: live bytes, step {step}");
                assert_eq!(now.pooled_bytes, before.pooled_bytes, "{name}: pooled, step {step}");
                // New bind groups are needed only for kernels that read the uploaded batch, once per glimpse,
                // for the sums over them, and for the uploaded zeros from which the sum of KL starts.
                let bound = now.bind_groups - before.bind_groups;
                if bound > 21 {
                    wrong.push(format!("{name}: {bound} bind groups in step {step}"));
                }
                let (kept, earlier) = (now.kept_bind_groups, before.kept_bind_groups);
                assert_eq!(kept, earlier, "{name}: bind groups kept in step {step}");
            }
            assert_eq!(now.readbacks, before.readbacks, "{name}: read-backs in step {step}");
            before = now;
        }
        assert!(training.step(30).item().unwrap().is_finite());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Dispatches of one step on `rows` images of MNIST's size.
#[cfg(feature = "gpu")]
fn dispatches(gpu: &pixelloom::gpu::Gpu, model: Box<dyn Model>, rows: usize) -> u64 {
    let device = Device::Gpu(gpu.clone());
    let mut training = Training::of(&device, model, (rows, 784), Rule::Adam);
    // The first step also lays out the arenas.
    drop(training.step(0));
    let before = gpu.stats().dispatches;
    drop(training.step(1));
    gpu.stats().dispatches - before
}

/// Models of the papers' sizes, whose steps are bound by launches that wait for each other.
#[cfg(feature = "gpu")]
#[test]
fn a_step_of_the_papers_sizes_has_few_launches() {
    let Some(gpu) = common::open_with(pixelloom::gpu::GpuOptions::default()) else { return };
    let device = &Device::Gpu(gpu.clone());
    // These dispatches do not depend on the batch size.
    let pixel = |body, hidden| {
        let model = PixelModel::new(device, body, PixelConfig::mnist(7, hidden), 3);
        dispatches(&gpu, Box::new(model), 1)
    };
    let draw = |glimpses| {
        let model = Draw::new(device, DrawConfig { glimpses, ..DrawConfig::mnist() }, 3);
        dispatches(&gpu, Box::new(model), 100)
    };
    // The gradients of the shared weights are added up once every three glimpses.
    let three_glimpses = draw(6) - draw(3);
    let counts = [
        ("VAE 784-500-20", dispatches(&gpu, vae(device, 500), 100), 50),
        ("PixelCNN, 7 layers", pixel(Body::PixelCnn, 32), 190),
        ("Row LSTM, 7 layers", pixel(Body::RowLstm, 16), 200),
        ("Diagonal BiLSTM, 7 layers", pixel(Body::DiagBilstm, 16), 350),
        ("three glimpses of DRAW", three_glimpses, 60),
    ];
    println!("{counts:?}");
    let more: Vec<_> = counts.iter().filter(|(_, found, most)| found > most).collect();
    assert!(more.is_empty(), "{more:?}");
}

/// A profile of a GPU, timed by the device itself, has the same kernels and calls as one of the CPU. Updates differ: a GPU
/// needs one launch for all parameters.
#[cfg(feature = "gpu")]
#[test]
fn a_profile_of_a_gpu_has_the_same_calls() {
    // Different options open another device, so that the counts of the tests above are not disturbed.
    let options = pixelloom::gpu::GpuOptions { zero_workgroup_memory: true, ..Default::default() };
    let Some(gpu) = common::gpu(options) else { return };
    let timestamps = gpu.summary().timestamp;
    let run = |device: &Device| {
        let mut profile = Profile::default();
        let training = Training::new(device, vae, 784, 20, Rule::Adam);
        device.profiled(&mut profile, || drop(training.gradients(1))).map(|()| profile)
    };
    let on_gpu = run(&Device::Gpu(gpu));
    if !timestamps {
        let message = on_gpu.unwrap_err().to_string();
        assert!(message.contains("no timestamps"), "{message}");
        return;
    }
    let (on_gpu, on_cpu) = (on_gpu.unwrap(), run(&Device::cpu()).unwrap());
    let calls = |p: &Profile| -> Vec<_> {
        p.kernels.iter().map(|(n, k)| (*n, k.calls, k.dispatches, k.flops)).collect()
    };
    assert_eq!(calls(&on_gpu), calls(&on_cpu));
    assert!(on_gpu.total().seconds > 0.0 && on_gpu.total().seconds <= on_gpu.seconds);
}

/// The loss of every step, and the weights afterwards. Uses SGD, whose updates are proportional to the gradients, so
/// that no normalisation hides an error.
fn trained(
    device: &Device,
    (make, hidden): (Make, usize),
    dims: usize,
    steps: u32,
) -> (Vec<f32>, Vec<(String, Vec<f32>)>) {
    let mut training = Training::new(device, make, dims, hidden, Rule::Sgd);
    let losses = (0..steps).map(|step| training.step(step).item().unwrap()).collect();
    let parameters = training.model.parameters().into_iter();
    (losses, parameters.map(|(name, p)| (name, p.value().to_vec().unwrap())).collect())
}

/// Asserts that training steps on two devices, from the same weights and noise, give the same losses and weights.
fn agree(device: &Device, other: &Device, hidden: usize, steps: u32) {
    for (name, make, dims, _) in MODELS {
        let (losses, weights) = trained(device, (make, hidden), dims, steps);
        let (exact, exact_weights) = trained(other, (make, hidden), dims, steps);
        let e = distance(&losses, &exact);
        let [a, b] = [device, other].map(Device::name);
        assert!(e <= 1e-5, "{name}: losses {losses:?} on {a}, {exact:?} on {b}");
        for ((weight, found), (_, exact)) in weights.iter().zip(&exact_weights) {
            let e = distance(found, exact);
            assert!(e <= 2e-4, "{name}, {weight}: {e} between {a} and {b}");
        }
    }
}

#[test]
fn cpu_and_reference_agree_over_training() {
    agree(&Device::cpu(), &Device::reference(), 9, 3);
}

/// A GPU that cannot bind all parameters at once updates them one by one.
#[cfg(feature = "gpu")]
#[test]
fn parameters_that_exceed_a_binding_together_train_alike() {
    // A batch of images has 104 kB, each of the two large weights 125 kB.
    let options = pixelloom::gpu::GpuOptions { binding: Some(160_000), ..Default::default() };
    let Some(gpu) = common::open_with(options) else { return };
    let gpu = Device::Gpu(gpu);
    let model = vae(&gpu, 40);
    let size = |p: &pixelloom::nn::Param| 4 * p.value().len();
    let sizes: Vec<usize> = model.parameters().iter().map(|(_, p)| size(p)).collect();
    assert!(sizes.iter().sum::<usize>() > 160_000 && *sizes.iter().max().unwrap() < 160_000);
    let (losses, weights) = trained(&gpu, (vae, 40), 784, 3);
    let (exact, exact_weights) = trained(&Device::cpu(), (vae, 40), 784, 3);
    assert!(distance(&losses, &exact) <= 1e-5, "{losses:?}, {exact:?}");
    for ((name, found), (_, exact)) in weights.iter().zip(&exact_weights) {
        let e = distance(found, exact);
        assert!(e <= 2e-4, "{name}: {e}");
    }
}

#[cfg(feature = "gpu")]
#[test]
fn cpu_and_gpu_agree_over_a_training_step() {
    // Different options open another device, so that the counts of the tests above are not disturbed.
    let options = pixelloom::gpu::GpuOptions { bounds_checks: true, ..Default::default() };
    let Some(gpu) = common::gpu(options) else { return };
    agree(&Device::Gpu(gpu), &Device::cpu(), 17, 1);
}

//! Images that are drawn by one workgroup each equal those of the sampler that launches every layer.

use super::*;
use crate::Device;
use crate::models::pixel::{Body, PixelConfig, PixelModel};
use crate::ops::random;
use crate::rng::{Key, stream};

const ROWS: usize = 5;

fn devices() -> Vec<Device> {
    let all = vec![Device::reference()];
    #[cfg(feature = "gpu")]
    let all = {
        let poison = crate::gpu::GpuOptions { poison: true, ..Default::default() };
        all.into_iter().chain(crate::gpu::Gpu::open(0, poison).ok().map(Device::Gpu)).collect()
    };
    all
}

fn configs() -> Vec<PixelConfig> {
    let small = PixelConfig {
        height: 5,
        width: 6,
        head: 9,
        learned_states: true,
        ..PixelConfig::mnist(2, 6)
    };
    let colours = PixelConfig { channels: 3, levels: 5, skip: true, mean: 0.4, std: 0.3, ..small };
    vec![small, colours, PixelConfig { classes: 3, ..small }]
}

fn batch(net: &PixelNet, device: &Device, known: Option<&Tensor>) -> Batch {
    let shape = net.images(ROWS);
    let u = random::uniform(device, Key::new(4, stream::TEST, 0), &shape);
    let labels = Tensor::new(device, &[0.0, 1.0, 2.0, 1.0, 0.0], &[ROWS]);
    let given = net.is_conditional().then(|| net.one_hot(&labels));
    Batch { x: known.cloned().unwrap_or_else(|| Tensor::zeros(device, &shape)), u, given }
}

#[test]
fn one_workgroup_per_image_draws_the_images_of_the_cached_sampler() {
    for device in &devices() {
        for body in [Body::PixelCnn, Body::RowLstm, Body::DiagBilstm] {
            for config in configs() {
                let what = format!(
                    "{body:?}, {} channels, {} classes, {}",
                    config.channels,
                    config.classes,
                    device.name()
                );
                let net = PixelModel::new(device, body, config, 3).net;
                let program = Program::of(&net);
                let ones = Tensor::full(device, 1.0, &net.images(ROWS));
                let mask: Vec<bool> = (0..30).map(|pixel| pixel % 4 == 1).collect();
                let some = Known { images: &ones, mask: &mask };
                for known in [None, Some(some)] {
                    let batch = batch(&net, device, known.map(|known| known.images));
                    let draw = (&net, &program);
                    let plain = batch.draw(draw, known, &mut |_, _| Ok(())).unwrap();
                    let whole = batch.draw_whole(draw, known, &mut Watch::nobody());
                    assert_eq!(whole.expect("a small network").unwrap(), plain, "{what}");
                    assert!(plain.iter().any(|x| *x != plain[0]), "{what}: one value");
                }
            }
        }
    }
}

/// The maps of two images fit into a binding, so a batch of five is drawn in three parts.
#[cfg(feature = "gpu")]
#[test]
fn a_batch_whose_maps_exceed_a_binding_is_drawn_in_parts() {
    use crate::gpu::{Gpu, GpuOptions};
    let cpu = Device::cpu();
    for config in configs() {
        let new = |device: &Device| PixelModel::new(device, Body::PixelCnn, config, 3).net;
        let net = new(&cpu);
        let program = Program::of(&net);
        let floats = Whole::new(&program, [5, 6, config.channels], net.scale()).floats();
        let options = GpuOptions { binding: Some(4 * 2 * floats + 4), ..Default::default() };
        let Ok(gpu) = Gpu::open(0, options).map(Device::Gpu) else {
            println!("skipped: no adapter");
            return;
        };
        let exact = batch(&net, &cpu, None).draw((&net, &program), None, &mut |_, _| Ok(()));
        let (net, reached) = (new(&gpu), std::sync::Mutex::new(Vec::new()));
        let progress = |pixel, _| {
            reached.lock().unwrap().push(pixel);
            Ok(())
        };
        let mut watch = Watch { progress: &progress, film: None };
        let drawn =
            batch(&net, &gpu, None).draw_whole((&net, &Program::of(&net)), None, &mut watch);
        assert_eq!(drawn.expect("a small network").unwrap(), exact.unwrap(), "{config:?}");
        assert_eq!(*reached.lock().unwrap(), [12, 24, 30], "{config:?}");
    }
}

#[test]
fn a_film_of_one_workgroup_per_image_has_the_frames_of_the_cached_sampler() {
    let device = Device::reference();
    let net = PixelModel::new(&device, Body::DiagBilstm, configs().remove(0), 3).net;
    let program = Program::of(&net);
    let batch = batch(&net, &device, None);
    let (mut plain, mut whole) = (Vec::new(), Vec::new());
    let frame = |pixel: usize| pixel.is_multiple_of(7) || pixel == 29;
    let keep = &mut |pixel: usize, sampler: &Sampler| {
        if frame(pixel) {
            plain.push(sampler.images()?);
        }
        Ok(())
    };
    batch.draw((&net, &program), None, keep).unwrap();
    let film = &mut |images| whole.push(images);
    let mut watch = Watch { film: Some((7, film)), ..Watch::nobody() };
    batch.draw_whole((&net, &program), None, &mut watch).unwrap().unwrap();
    assert_eq!(whole, plain);
}

#[test]
fn launches_cover_all_pixels_and_stop_where_they_must() {
    let device = Device::reference();
    let config = PixelConfig::mnist(7, 16);
    let net = PixelModel::new(&device, Body::DiagBilstm, config, 3).net;
    let whole = Whole::new(&Program::of(&net), [28, 28, 1], net.scale());
    let launches = whole.launches(|pixel| pixel == 100).expect("the paper's network fits");
    assert!(launches.len() > 2, "{launches:?}");
    assert!(launches.iter().any(|&(_, end)| end == 101), "{launches:?}");
    assert_eq!((launches[0].0, launches[launches.len() - 1].1), (0, 784));
    assert!(launches.windows(2).all(|pair| pair[0].1 == pair[1].0), "{launches:?}");
    assert!(launches.iter().all(|(start, end)| start < end), "{launches:?}");
    let device = Device::meta(&device);
    let large = PixelModel::new(&device, Body::PixelCnn, PixelConfig::colour(32, 15, 128), 3).net;
    let program = Program::of(&large);
    let before = device.live_bytes();
    let whole = Whole::new(&program, [32, 32, 3], large.scale());
    assert!(whole.launches(|_| false).is_none(), "a pixel of a large network exceeds a launch");
    assert_eq!(device.live_bytes(), before, "its weights are not copied");
}

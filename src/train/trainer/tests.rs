//! Failures that only a test inside the module can provoke: weights that become NaN during training, a lost device.

use super::*;
use crate::settings::{Settings, presets};
use crate::tensor::Tensor;

/// A trainer with four batches per epoch and a line of metrics every eight steps.
fn trainer(device: &Device, home: &std::path::Path, flags: &[&str]) -> Trainer {
    let mut settings = Settings::new(&presets::find("digits").unwrap().config());
    let usual = ["model.hidden=6", "model.latent=2", "batch=50", "data.limit=200", "log_every=8"];
    usual.iter().chain(flags).for_each(|flag| settings.set(flag).unwrap());
    let opened = settings.config().unwrap().data.open_with_fingerprint(&|_| ()).unwrap();
    let (data, fingerprint) = (opened.0, Some(opened.1));
    let (config, data) = settings.fit(data).unwrap();
    let run = RunDir::create(&home.join("run"), &config, false).unwrap();
    let (device, ranks, resume) = (device.clone(), Ranks::enter().unwrap(), Resume::No);
    let (command, again) = (String::new(), "pixelloom train vae --resume --out run".to_string());
    let job = Job {
        config,
        data,
        device,
        run,
        ranks,
        resume,
        init: None,
        history: Vec::new(),
        until: None,
        fingerprint,
        command,
        again,
    };
    let mut trainer = Trainer::new(job).unwrap();
    trainer.save().unwrap();
    trainer
}

/// The CPU and, if there is one, a GPU.
fn devices() -> Vec<Device> {
    #[allow(unused_mut)]
    let mut devices = vec![Device::cpu()];
    #[cfg(feature = "gpu")]
    match crate::gpu::Gpu::open(0, crate::gpu::GpuOptions::default()) {
        Ok(gpu) => devices.push(Device::Gpu(gpu)),
        Err(_) => println!("the GPU is skipped: no adapter"),
    }
    devices
}

const BROKEN: &str = "decoder.hidden.weight";

/// Overwrites the weight [`BROKEN`] with `value`, or breaks it, and returns the old weight.
fn put(trainer: &Trainer, value: Option<Tensor>) -> Tensor {
    let parameters = trainer.model.model().parameters();
    let (_, param) = parameters.iter().find(|(name, _)| name == BROKEN).expect("a weight");
    let before = param.value();
    let mut numbers = before.to_vec().unwrap();
    numbers[0] = f32::INFINITY;
    let broken = || Tensor::new(before.device(), &numbers, before.shape());
    param.set(value.unwrap_or_else(broken));
    before
}

/// Runs steps until the error is reported: immediately on a CPU, with the line of metrics on a GPU.
fn steps_to_the_line(trainer: &mut Trainer) -> Result<()> {
    while trainer.position.step < 8 {
        trainer.step()?;
    }
    trainer.log()
}

#[test]
fn a_run_stops_at_the_step_that_is_not_finite() {
    for device in devices() {
        let home = tempfile::tempdir().unwrap();
        let mut trainer = trainer(&device, home.path(), &["optimizer.average=0.9"]);
        (0..5).for_each(|_| trainer.step().unwrap());
        put(&trainer, None);
        let values = |trainer: &Trainer| -> Vec<Vec<u32>> {
            let parameters = trainer.model.model().parameters();
            let bits = |p: &crate::Param| p.value().to_vec().unwrap();
            parameters
                .iter()
                .map(|(_, p)| bits(p).into_iter().map(f32::to_bits).collect())
                .collect()
        };
        let before = values(&trainer);
        let images = trainer.loader.batch(5).1;
        let Err(Error::NotFinite(message)) = steps_to_the_line(&mut trainer) else {
            panic!("{}: nothing is said", device.name())
        };
        let listed: Vec<String> = images.iter().take(10).map(usize::to_string).collect();
        let more = if images.len() > 10 { ", ..." } else { "" };
        let place =
            format!("in step 6, batch 2 of epoch 2 (training images {}{more})", listed.join(", "));
        for part in [" of linear is not finite ", &place, "step-00000000", "--on-nonfinite skip"] {
            assert!(message.contains(part), "{part} is not in {message}");
        }
        assert_eq!(trainer.position.step, if device.is_cpu() { 6 } else { 8 });
        assert!(values(&trainer) == before, "{}: the step changed weights", device.name());
        assert!(trainer.save().is_err());
        assert_eq!(trainer.job.run.steps(), [0], "nothing broken is saved");
    }
}

#[test]
fn a_run_leaves_out_steps_that_are_not_finite() {
    for device in devices() {
        let home = tempfile::tempdir().unwrap();
        let mut trainer = trainer(&device, home.path(), &["optimizer.on_nonfinite=skip"]);
        (0..3).for_each(|_| trainer.step().unwrap());
        let whole = put(&trainer, None);
        (0..2).for_each(|_| trainer.step().unwrap());
        put(&trainer, Some(whole));
        // A checkpoint in between does not change the line.
        trainer.save().unwrap();
        steps_to_the_line(&mut trainer).unwrap();
        let text = std::fs::read_to_string(trainer.job.run.metrics()).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!((&line["skipped"], &line["first_skipped"]), (&json!(2), &json!(4)), "{line}");
        let loss = line["loss"].as_f64().unwrap();
        assert!(loss > 100.0 && loss < 700.0, "{}: {line}", device.name());
        assert_eq!((trainer.position.skipped, trainer.position.first_skipped), (0, None));
    }
}

/// A run that fails before its first checkpoint leaves none to resume from.
#[test]
fn where_there_is_no_checkpoint_none_is_named() {
    let home = tempfile::tempdir().unwrap();
    let mut trainer = trainer(&Device::cpu(), home.path(), &[]);
    let lost = || Error::Device("the device was lost".into());
    let (device, numbers) = (trainer.with_checkpoint(lost()), trainer.run_away("the loss is NaN"));
    assert!(device.to_string().ends_with("pixelloom train vae --resume --out run"), "{device}");
    assert!(numbers.to_string().contains("step-00000000; train again"), "{numbers}");
    trainer.last_saved = None;
    let (device, numbers) = (trainer.with_checkpoint(lost()), trainer.run_away("the loss is NaN"));
    for error in [device, numbers] {
        let text = error.to_string();
        assert!(text.contains("no checkpoint was saved yet"), "{text}");
        assert!(!text.contains("none") && !text.contains("resume"), "{text}");
    }
}

#[cfg(feature = "gpu")]
#[test]
fn a_full_gpu_names_the_last_checkpoint() {
    let Ok(gpu) = crate::gpu::Gpu::open(0, crate::gpu::GpuOptions::default()) else {
        println!("skipped: no adapter");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let mut trainer = trainer(&Device::Gpu(gpu.clone()), home.path(), &[]);
    gpu.fill();
    let error = steps_to_the_line(&mut trainer).unwrap_err();
    let error = trainer.with_checkpoint(error);
    let text = error.to_string();
    assert_eq!(error.exit_code(), 6, "{text}");
    for part in ["has no memory for a buffer", "lower the batch size", "step-00000000"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[cfg(feature = "gpu")]
#[test]
fn a_lost_gpu_names_the_last_checkpoint() {
    let Ok(gpu) = crate::gpu::Gpu::open(0, crate::gpu::GpuOptions::default()) else {
        println!("skipped: no adapter");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let mut trainer = trainer(&Device::Gpu(gpu.clone()), home.path(), &[]);
    (0..3).for_each(|_| trainer.step().unwrap());
    trainer.save().unwrap();
    gpu.destroy();
    let error = steps_to_the_line(&mut trainer).unwrap_err();
    let error = trainer.with_checkpoint(error);
    let text = error.to_string();
    assert_eq!(error.exit_code(), 6, "{text}");
    assert!(text.contains("was lost") && text.contains("last checkpoint: "), "{text}");
    assert!(text.contains("step-00000003"), "{text}");
    let dir = trainer.job.run.newest().unwrap();
    checkpoint::open(&dir).map(drop).unwrap();
}

//! Settings that are unknown, of the wrong type, out of range, or contradictory.

use super::{Place, Transcript, said};

#[test]
fn settings() {
    let place = Place::new();
    let mut transcript = Transcript::new(&place);
    for (file, text) in [
        ("syntax.toml", "epochs = 3\n[model]\nhidden == 4\n"),
        ("preset.toml", "preset = 3\n"),
        ("unknown.toml", "[optimizer]\nlearning_rate = 0.1\n"),
        ("kind.toml", "[model]\nkind = \"draw\"\n"),
        ("type.toml", "model = 3\n"),
    ] {
        std::fs::write(place.path(file), text).expect("written");
    }
    std::fs::write(place.path("bytes.toml"), b"preset = \"\xff\"").expect("written");
    for flags in [
        // Unknown names.
        "--preset nothing",
        "--set model.hiden=3",
        "--set optimiser.rate=1",
        "--set model.method=wake-sleep --set model.method.samples=2",
        "--set model.stage=1",
        "--set model.method=em",
        "--set optimizer.schedule=linear",
        "--set preset=digits",
        "--set epochs",
        "--set a.b.c.d.e.f.g.h.i=1",
        "--optimizer adamm",
        "--binarization dynamc",
        "--data digit",
        "--data folder:",
        // Types.
        "--set epochs=many",
        "--set epochs=1.5",
        "--set epochs=-1",
        "--set optimizer.rate=fast",
        "--set data.name=3",
        "--set weight_prior=1",
        "--set model.method=3",
        // Ranges.
        "--set epochs=0",
        "--batch 0",
        "--log-every 0",
        "--eval-every 0",
        "--set keep=0",
        "--rate=-1",
        "--rate=nan",
        "--rate=inf",
        "--set optimizer.clip=0.0",
        "--set optimizer.clip=-1.0",
        "--set optimizer.clip=nan",
        "--set optimizer.decay=-1.0",
        "--set optimizer.decay=inf",
        "--set optimizer.epsilon=inf",
        "--set optimizer.beta1=1.0",
        "--set optimizer.beta1=nan",
        "--set optimizer.beta2=-0.5",
        "--set optimizer.schedule.floor=nan",
        "--set optimizer.schedule.floor=-0.5",
        "--set optimizer.schedule=step --set optimizer.schedule.every=0",
        "--set optimizer.schedule=step --set optimizer.schedule.factor=0.0",
        "--set optimizer.schedule=step --set optimizer.schedule.factor=inf",
        "--set optimizer.schedule=step --set optimizer.schedule.factor=nan",
        "--hidden 0",
        "--latent 2000000",
        "--hidden 1000000 --latent 1000000",
        "--set model.method.samples=0",
        "--set model.log_variance_floor=nan",
        "--set model.init_deviation=0.0",
        "--set model.init_deviation=inf",
        "--set data.limit=0",
        "--set data.limit=5000",
        // Contradictions.
        "--set weight_prior=true --set optimizer.decay=0.1",
        "--set marginal=10 --latent 6",
        "--batch 4500 --set model.method.samples=10000",
        "--epochs 1000000000 --batch 1",
        "--set model.height=30",
        "--binarization fixed",
        "--preset digits-pixelcnn",
        // Files.
        "--config missing.toml",
        "--config syntax.toml",
        "--config preset.toml",
        "--config unknown.toml",
        "--config kind.toml",
        "--config type.toml",
        "--config bytes.toml",
    ] {
        transcript.fails(&format!("train vae --device cpu {flags}"), 3);
        assert!(!place.path("runs").exists(), "{flags} left something behind");
    }
    said!(transcript);
}

#[test]
fn settings_of_other_models() {
    let place = Place::new();
    let mut transcript = Transcript::new(&place);
    for command in [
        "pixelcnn --layers 0",
        "pixelcnn --hidden 0",
        "pixelcnn --set model.levels=1",
        "pixelcnn --set model.levels=16",
        "pixelcnn --set model.mean=nan",
        "pixelcnn --set model.deviation=0.0",
        "pixelcnn --set model.dropout=1.0",
        "pixelcnn --set model.kernel=4",
        "diagbilstm --set model.kernel=5",
        "multiscale --set model.kernel=33",
        "pixelcnn --set model.skip=maybe",
        "pixelcnn --set marginal=10",
        "pixelcnn --latent 3",
        "pixelcnn --batch 4500 --hidden 5000",
        "pixelcnn --batch 1 --hidden 8192",
        "rowlstm --batch 1 --hidden 16384",
        "diagbilstm --batch 1 --hidden 16384",
        "pixelcnn --binarization grey",
        "multiscale --set model.factors=[1]",
        "multiscale --set model.factors=[5]",
        "multiscale --set model.stage=7",
        "multiscale --set model.condition=0",
        "draw --glimpses 0",
        "draw --hidden 100000 --latent 100000",
        "draw --set model.read=0",
        "draw --batch 4500 --hidden 16384",
        "classifier --data two-digits",
        "classifier --set model.classes=5",
    ] {
        transcript.fails(&format!("train {command} --device cpu"), 3);
    }
    transcript.fails("bench --only nothing", 3);
    std::fs::write(place.path("tiles.toml"), "[[adapters]]\n").expect("written");
    transcript.fails("tune vae --tiles tiles.toml --device cpu", 3);
    transcript.fails("tune vae --preset digits-draw --device cpu", 3);
    transcript.fails("tune vae --device cpu", 6);
    transcript.fails("presets nothing", 3);
    transcript.fails("data nothing", 3);
    transcript.fails("data digits --binarization nothing", 3);
    transcript.fails("explain receptive-field --model vae --device cpu", 3);
    transcript.fails("explain receptive-field --model pixelcnn --channels 2 --device cpu", 3);
    transcript.fails("explain receptive-field --model pixelcnn --row 28 --device cpu", 3);
    transcript.fails("explain receptive-field --model diagbilstm --kernel 5 --device cpu", 3);
    said!(transcript);
}

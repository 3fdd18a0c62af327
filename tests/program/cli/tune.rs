//! `pixelloom tune`, its file, and runs with other tiles than the built-in ones. On any adapter, software or not.

use pixelloom::gpu::{AdapterSummary, adapters};
use pixelloom::tiles::Tiles;
use safetensors::SafeTensors;

use super::{Place, stderr};

/// The adapter to test on, and its device flag.
fn adapter() -> Option<(AdapterSummary, String)> {
    let wanted = std::env::var("PIXELLOOM_ADAPTER").unwrap_or_default();
    let Some(found) = adapters().into_iter().find(|adapter| adapter.name.contains(&wanted)) else {
        println!("skipped: no GPU adapter here");
        return None;
    };
    let flag = format!("--device gpu:{}", found.index);
    Some((found, flag))
}

/// The text of a file with these tiles for an adapter.
fn file_of(adapter: &AdapterSummary, tiles: Tiles) -> String {
    let values = Tiles::LIMITS.iter().zip(tiles.values());
    let values: Vec<String> = values.map(|((name, ..), n)| format!("{name} = {n}\n")).collect();
    format!(
        "# pixelloom tune\n[[adapter]]\nname = {:?}\nbackend = {:?}\ndriver = {:?}\nversion = {:?}\n\
         model = \"by hand\"\n[adapter.tiles]\n{}",
        adapter.name,
        adapter.backend,
        adapter.driver,
        env!("CARGO_PKG_VERSION"),
        values.concat()
    )
}

const MODEL: &str = "--hidden 4 --latent 2 --batch 8";

#[test]
fn the_fastest_tiles_are_stored_and_used() {
    let Some((adapter, device)) = adapter() else { return };
    let place = Place::new();
    // The file already has tiles for another adapter.
    let other = AdapterSummary { name: "another".into(), ..adapter };
    std::fs::write(place.path("t.toml"), file_of(&other, Tiles::OTHER)).expect("written");
    // It takes a few seconds, and longer on a busy machine.
    let tune = format!("tune vae {MODEL} {device} --seconds 120");
    let said = place.succeed(&format!("{tune} --tiles t.toml"));
    assert!(said.starts_with("| choice") && said.contains("| product_piece"), "{said}");
    assert!(said.contains("no effect on this model: ") && said.ends_with("t.toml\n"), "{said}");
    let stored = String::from_utf8(place.read("t.toml")).expect("text");
    assert_eq!(stored.matches("[[adapter]]").count(), 2, "{stored}");
    assert!(stored.contains("name = \"another\""), "{stored}");
    assert!(stored.contains("model = \"digits, batch size 8\""), "{stored}");
    let test = |more: &str| {
        let output = place.run(&format!("kernels test --op latent {device} -v {more}"));
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let used = test("--tiles t.toml");
    assert!(used.contains("(measured for digits, batch size 8, in t.toml)"), "{used}");
    assert!(test("").contains("(built in)") && test("--tiles builtin").contains("(built in)"));
    // Without --tiles, the file of the user.
    std::fs::create_dir_all(place.path("settings/pixelloom")).expect("made");
    std::fs::write(place.path("settings/pixelloom/tiles.toml"), stored).expect("written");
    assert!(test("").contains("(measured for digits, batch size 8, in "));
    let output = place.succeed(&format!("{tune} --tiles builtin --json"));
    let object: serde_json::Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(object["choices"].as_array().map(Vec::len), Some(7), "{output}");
    assert!(object["tiles"]["weight_groups"].is_u64(), "{output}");
    assert!(object.get("files").is_none(), "{output}");
}

/// The order of sums depends on the tiles, so a run keeps those that it was started with.
#[test]
fn a_resumed_run_keeps_its_tiles() {
    let Some((adapter, device)) = adapter() else { return };
    let place = Place::new();
    place.put_images("images", 16);
    // Products over 256 pixels in 8 pieces.
    let tiles = Tiles::DISCRETE.with(1, 2048).with(2, 32);
    std::fs::write(place.path("t.toml"), file_of(&adapter, tiles)).expect("written");
    let run = format!(
        "train vae {MODEL} {device} --epochs 2 --rate 0.01 --log-every 2 --eval-every 1 --data folder:images \
         --binarization dynamic --set save_every=1 --set optimizer.schedule=constant"
    );
    place.succeed(&format!("{run} --name usual"));
    place.succeed(&format!("{run} --tiles t.toml --name whole"));
    place.succeed(&format!("{run} --tiles t.toml --until 5 --name part"));
    let resumed = place.run(&format!("train vae --resume {device} --name part"));
    let said = stderr(&resumed);
    assert!(resumed.status.success(), "{said}");
    assert!(said.contains("note: the tiles of the checkpoint are used"), "{said}");
    place.assert_equal_runs("runs/whole", "runs/part");
    let last = |run: &str, file: &str| {
        let step = place.checkpoints(&format!("runs/{run}")).pop().expect("a checkpoint");
        place.read(&format!("runs/{run}/checkpoints/{step}/{file}.safetensors"))
    };
    assert!(last("whole", "model") != last("usual", "model"), "these tiles add in another order");
    let stored = |run: &str| {
        let state = last(run, "state");
        let (_, metadata) = SafeTensors::read_metadata(&state).expect("whole");
        metadata.metadata().as_ref().and_then(|texts| texts.get("tiles").cloned())
    };
    assert_eq!(stored("whole"), Some(serde_json::to_string(&tiles).expect("JSON")));
    // Checkpoints of runs with the usual tiles are those of earlier versions, which resume with the usual tiles.
    let usual = Tiles::of(adapter.device_type);
    assert_eq!(stored("usual").is_none(), usual == Tiles::DISCRETE);
    place.succeed(&format!("{run} --until 5 --name early"));
    place.succeed(&format!("train vae --resume {device} --tiles t.toml --name early"));
    place.assert_equal_runs("runs/usual", "runs/early");
}

#[test]
fn a_file_that_cannot_be_used_is_an_error() {
    let Some((adapter, device)) = adapter() else { return };
    let place = Place::new();
    let run = format!("kernels test --op latent {device}");
    let message = place.fail(&format!("{run} --tiles t.toml"), 3);
    assert!(message.ends_with("there is no file t.toml; measure tiles for this GPU first: pixelloom tune --tiles t.toml"), "{message}");
    let usual = place.path("settings/pixelloom");
    std::fs::create_dir_all(&usual).expect("made");
    let bad =
        file_of(&adapter, Tiles::DISCRETE).replace("weight_groups = 256", "weight_groups = 0");
    std::fs::write(usual.join("tiles.toml"), bad).expect("written");
    let message = place.fail(&run, 3);
    assert!(
        message.contains("tiles.toml is not a file of tiles: adapter 1: weight_groups is 0, and must be from 1 to 2048"),
        "{message}"
    );
    place.succeed(&format!("{run} --tiles builtin"));
    // The CPU does not read it.
    place.succeed("kernels test --op latent --device cpu");
    let message = place.fail(&format!("tune vae {MODEL} {device} --seconds 0 --tiles new.toml"), 3);
    assert!(
        message.contains("0 s are too few to compare anything; choose --seconds "),
        "{message}"
    );
    assert!(!place.path("new.toml").exists());
}

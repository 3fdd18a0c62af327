//! The user's own images and weights: from a folder to a trained model, and weights of other programs.

use std::collections::BTreeMap;

use half::{bf16, f16};
use pixelloom::data::picture;
use pixelloom::run::Checkpoint;
use pixelloom::{Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::{Place, TINY, stderr};

/// 30 colour images of 10 x 12 in the folders of two classes.
fn photos(place: &Place) {
    for i in 0..30_u32 {
        let file = place.path(&format!("photos/{}/{i:02}.png", ["cats", "dogs"][i as usize % 2]));
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        let mut encoder = png::Encoder::new(std::fs::File::create(file).expect("made"), 12, 10);
        encoder.set_color(png::ColorType::Rgb);
        let bytes: Vec<u8> =
            (0..360).map(|j| (i * 7919 + j * 104_729 + i * j * 31) as u8).collect();
        encoder.write_header().expect("written").write_image_data(&bytes).expect("written");
    }
}

/// The commands in the output, each on an indented line of its own.
fn commands(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.strip_prefix("  pixelloom ")).collect()
}

/// The commands that `data` prints train models, also a VAE on colour images, and the model remembers the size.
#[test]
fn a_folder_of_colour_images_trains() {
    let place = Place::new();
    photos(&place);
    let said = place.succeed("data folder:photos --size 8 --sheet sheet.png");
    assert!(said.contains("    8 x 8 x 3 (height, width, channels)"), "{said}");
    assert!(said.contains("2 classes, with their training images: cats "), "{said}");
    let sheet = picture::read(&place.path("sheet.png")).expect("a picture");
    assert_eq!(sheet.channels, 3);
    let printed = commands(&said);
    assert_eq!(printed.len(), 2, "{said}");
    for command in printed {
        assert!(command.contains("--data folder:photos --size 8"), "{command}");
        place.succeed(&format!("{command} --dry-run --device cpu"));
    }
    let sheet = "--sheet sheet.png";
    assert!(place.succeed("data folder:photos --size 8").contains(sheet), "no way to look at them");

    let vae = "train vae --data folder:photos --size 8 --hidden 8 --latent 2 --batch 8 --epochs 2 \
               --rate 0.01 --eval-every 1 --set optimizer.schedule=constant --device cpu";
    for (name, more) in [("v", ""), ("g", "--set model.likelihood=gaussian")] {
        place.succeed(&format!("{vae} {more} --name {name}"));
        for flags in ["", "--reconstruct", "--manifold"] {
            let picture_of =
                format!("sample {name} --count 4 {flags} --out x.png --force --device cpu");
            place.succeed(&picture_of);
            let sheet = picture::read(&place.path("x.png")).expect("a picture");
            assert_eq!(sheet.channels, 3, "{picture_of}");
        }
        // Images are read as in training, also from another folder.
        let score = place.succeed(&format!("eval {name} --device cpu"));
        std::fs::rename(place.path("photos"), place.path("moved")).expect("moved");
        let moved = place.succeed(&format!("eval {name} --data folder:moved --device cpu"));
        assert_eq!(score, moved.replace("moved", "photos"));
        std::fs::rename(place.path("moved"), place.path("photos")).expect("moved");
        let noted = stderr(&place.run(&format!("eval {name} --device cpu")));
        assert_eq!(noted.contains("a density: its bound can be negative"), name == "g", "{noted}");
        let other = place.fail(&format!("eval {name} --size 9 --device cpu"), 3);
        assert!(other.contains("(9, 9, 3)"), "{other}");
    }
    let resume = "train vae --resume --name v --epochs 3 --device cpu";
    let refused = place.fail(&format!("{resume} --size 9"), 3);
    assert!(refused.contains("data.size: 8 in the run, 9 requested"), "{refused}");
    place.succeed(resume);
    let toml = String::from_utf8(place.read("runs/v/config.toml")).expect("text");
    assert!(toml.contains("\nsize = 8\n") && toml.contains("\nchannels = 3\n"), "{toml}");
    // One step of the printed pixel model.
    let command =
        commands(&said)[1].replace("pixelcnn", "pixelcnn --epochs 1 --layers 1 --hidden 6");
    place.succeed(&format!("{command} --set model.head=6 --name p --device cpu"));
    let again = place.run("eval p --device cpu");
    assert!(again.status.success(), "{}", stderr(&again));
}

/// The image that differs from the others has the worst score, and the table has the name of its file.
#[test]
fn scores_of_images_have_the_names_of_their_files() {
    let place = Place::new();
    let put = |file: &str, grey: [u8; 2]| {
        let path = place.path(&format!("pictures/{file}"));
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let encoder = png::Encoder::new(std::fs::File::create(path).expect("made"), 4, 4);
        let mut writer = encoder.write_header().expect("written");
        writer.write_image_data(&grey.repeat(8)).expect("written");
    };
    for i in 0..24 {
        put(&format!("train/{}/{i}.png", ["cats", "dogs"][i % 2]), [250, 5]);
    }
    for file in ["cats/1, 2.png", "cats/b.png", "dogs/a.png", "dogs/odd one.png", "dogs/z.png"] {
        put(&format!("test/{file}"), if file.contains("odd") { [5, 250] } else { [250, 5] });
    }
    place.succeed(
        "train vae --data folder:pictures --hidden 4 --latent 1 --batch 6 --epochs 20 --rate 0.05 --device cpu --name a",
    );
    let rows = |arguments: &str| -> Vec<(String, f64)> {
        place.succeed(&format!("eval a --per-image a.csv --force --device cpu {arguments}"));
        let text = String::from_utf8(place.read("a.csv")).expect("text");
        let mut lines = text.lines().skip(1);
        assert!(lines.next().expect("a header").starts_with("image,file,bound,"), "{text}");
        let row = |(i, line): (usize, &str)| {
            let rest = line.strip_prefix(&format!("{i},")).expect("the number");
            let end = if rest.starts_with('"') { rest.rfind('"').expect("an end") + 1 } else { 0 };
            let comma = end + rest[end..].find(',').expect("scores");
            let score = rest[comma + 1..].split(',').next().expect("a score");
            (rest[..comma].to_string(), score.parse().expect("a number"))
        };
        lines.enumerate().map(row).collect()
    };
    let scored = rows("");
    let names: Vec<&str> = scored.iter().map(|(name, _)| name.as_str()).collect();
    let files = ["\"test/cats/1, 2.png\"", "test/cats/b.png", "test/dogs/a.png"];
    assert_eq!(names, [&files[..], &["test/dogs/odd one.png", "test/dogs/z.png"]].concat());
    let worst = scored.iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("rows");
    assert_eq!(worst.0, "test/dogs/odd one.png", "{scored:?}");
    let firsts = rows("--data first-3:folder:pictures");
    assert_eq!(firsts.len(), 3);
    assert!(firsts.iter().all(|(name, _)| name.starts_with("train/cats/")), "{firsts:?}");
    // Images of other data sets have numbers only.
    place.succeed("eval vae --per-image b.csv --device cpu");
    let text = String::from_utf8(place.read("b.csv")).expect("text");
    assert!(text.lines().nth(1).expect("a header").starts_with("image,bound,"), "{text}");
}

#[test]
fn black_and_white_images_get_two_levels() {
    let place = Place::new();
    std::fs::create_dir(place.path("bw")).expect("made");
    for i in 0..12_u8 {
        let file = std::fs::File::create(place.path(&format!("bw/{i}.png"))).expect("made");
        let mut encoder = png::Encoder::new(file, 8, 4);
        encoder.set_depth(png::BitDepth::One);
        let mut writer = encoder.write_header().expect("written");
        writer.write_image_data(&[i, i ^ 255, 3, i * 5]).expect("written");
    }
    let said = place.succeed("data folder:bw");
    let printed = commands(&said);
    assert_eq!(printed.len(), 3, "{said}");
    for command in &printed[1..] {
        assert!(command.contains("--binarization threshold"), "{command}");
        place.succeed(&format!("{command} --dry-run --device cpu"));
    }
}

#[test]
fn idx_files_train_and_stay_turned() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("own/MNIST/raw")).expect("made");
    let pixels: Vec<u8> = (0..40 * 24_u32).map(|i| ((i * 104_729) >> 3) as u8).collect();
    let header = [0x0803_u32, 40, 4, 6].map(u32::to_be_bytes).concat();
    std::fs::write(place.path("own/MNIST/raw/train-images.idx3-ubyte"), [header, pixels].concat())
        .expect("written");
    let said = place.succeed("data idx:own --transpose");
    assert!(said.contains("    6 x 4 x 1 (height, width, channels)"), "{said}");
    for command in &commands(&said)[1..] {
        assert!(command.contains("--data idx:own --transpose"), "{command}");
        place.succeed(&format!("{command} --dry-run --device cpu"));
    }
    place.succeed(
        "train vae --data idx:own --transpose --hidden 4 --latent 2 --batch 8 --epochs 1 --device cpu --name a",
    );
    assert!(place.succeed("eval a --device cpu").contains("idx:own, test split"));
    let toml = String::from_utf8(place.read("runs/a/config.toml")).expect("text");
    assert!(toml.contains("\ntranspose = true\n"), "{toml}");
    // Files of another data set with the names of MNIST.
    std::fs::create_dir_all(place.path("data")).expect("made");
    std::fs::rename(place.path("own/MNIST/raw"), place.path("data/mnist")).expect("moved");
    for part in ["train", "t10k"] {
        let header = [0x0801_u32, 40].map(u32::to_be_bytes).concat();
        let file = place.path(&format!("data/mnist/{part}-labels-idx1-ubyte"));
        std::fs::write(file, [header, vec![1; 40]].concat()).expect("written");
    }
    let error = place.fail("data mnist", 4);
    assert!(error.contains("this is another data set"), "{error}");
    assert!(error.contains("to train on these files: --data idx:data/mnist;"), "{error}");
}

/// The tensors of a model as another program might write them.
fn foreign(
    weights: &BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    dtype: impl Fn(&str) -> Dtype,
    texts: Option<&[(&str, &str)]>,
) -> Vec<u8> {
    let mut bytes = BTreeMap::new();
    for (name, (_, numbers)) in weights {
        let own: Vec<u8> = match dtype(name) {
            Dtype::F64 => numbers.iter().flat_map(|&x| f64::from(x).to_le_bytes()).collect(),
            Dtype::F16 => numbers.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect(),
            Dtype::BF16 => numbers.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect(),
            Dtype::I32 => numbers.iter().flat_map(|&x| (x as i32).to_le_bytes()).collect(),
            _ => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
        };
        bytes.insert(name.clone(), own);
    }
    let views = weights.iter().map(|(name, (shape, _))| {
        (name, TensorView::new(dtype(name), shape.clone(), &bytes[name]).expect("a tensor"))
    });
    let texts = texts
        .map(|texts| texts.iter().map(|(key, text)| (key.to_string(), text.to_string())).collect());
    safetensors::serialize(views, texts).expect("a file")
}

fn weights_of(place: &Place, file: &str) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let model = Checkpoint::open(&place.path(file)).expect("it is whole");
    let model = model.load(&Device::cpu()).expect("it is a model");
    let parameters = model.model().parameters().into_iter();
    let of = |tensor: Tensor| (tensor.shape().to_vec(), tensor.to_vec().expect("numbers"));
    parameters.map(|(name, param)| (name, of(param.value()))).collect()
}

/// Files that the official library wrote: without metadata, with other number types, with our metadata.
#[test]
fn weights_of_other_programs_are_used() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a").replace("--epochs 3", "--epochs 1"));
    place.succeed("export a --out a.safetensors --device cpu");
    let scored = |arguments: &str| {
        let output = place.run(&format!("eval {arguments} --device cpu"));
        assert!(output.status.success(), "{arguments}: {}", stderr(&output));
        String::from_utf8(output.stdout).expect("text")
    };
    let expected = scored("a.safetensors");
    let weights = weights_of(&place, "a.safetensors");
    let settings = "--preset digits --set model.hidden=8 --set model.latent=2";
    let put =
        |name: &str, bytes: Vec<u8>| std::fs::write(place.path(name), bytes).expect("written");
    let pt = Some(&[("format", "pt")][..]);
    for (name, dtype, texts) in [
        ("plain", Dtype::F32, None),
        ("pt", Dtype::F32, pt),
        ("wide", Dtype::F64, pt),
        ("half", Dtype::F16, pt),
        ("brain", Dtype::BF16, None),
    ] {
        let file = format!("{name}.safetensors");
        put(&file, foreign(&weights, |_| dtype, texts));
        let error = place.fail(&format!("eval {file} --device cpu"), 5);
        assert!(error.contains("without the settings") && error.contains("--preset"), "{error}");
        let score = scored(&format!("{file} {settings}"));
        match dtype {
            Dtype::F32 | Dtype::F64 => assert_eq!(score, expected, "{name}"),
            _ => assert!(score.starts_with("test bound: "), "{score}"),
        }
        place.succeed(&format!("sample {file} {settings} --count 4 --out {name}.png --device cpu"));
    }
    // A file with several number types, and one more epoch from there.
    let mixed = |name: &str| if name.ends_with("bias") { Dtype::F16 } else { Dtype::F64 };
    put("mixed.safetensors", foreign(&weights, mixed, pt));
    let tuned = "--init mixed.safetensors --epochs 1 --name tuned";
    place.succeed(&format!("{TINY} {tuned}").replace("--epochs 3 ", ""));
    assert!(scored("tuned").starts_with("test bound: "));
    // Saved again with our metadata: the checksum is right, and the settings are in the file.
    let bytes = place.read("a.safetensors");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a file");
    let texts = header.metadata().clone().expect("texts");
    let texts: Vec<(&str, &str)> = texts.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    put("again.safetensors", foreign(&weights, |_| Dtype::F32, Some(&texts)));
    assert_ne!(place.read("again.safetensors"), bytes);
    assert_eq!(scored("again.safetensors"), expected);
    let error = place.fail(&format!("eval again.safetensors {settings} --device cpu"), 3);
    assert!(error.contains("leave out --preset"), "{error}");
    let wide = foreign(&weights, |_| Dtype::F64, Some(&[&texts[..], &[("by", "me")]].concat()));
    put("wide.safetensors", wide);
    assert_eq!(scored("wide.safetensors"), expected);
    put("brain.safetensors", foreign(&weights, |_| Dtype::BF16, Some(&texts)));
    let output = place.run("eval brain.safetensors --device cpu");
    assert!(output.status.success() && stderr(&output).contains("checksum was not compared"));
    let but = |names: &[&str]| -> Vec<(&str, &str)> {
        texts.iter().copied().filter(|(key, _)| !names.contains(key)).collect()
    };
    put("bare.safetensors", foreign(&weights, |_| Dtype::F32, Some(&but(&["sha256", "card"]))));
    assert_eq!(scored("bare.safetensors"), expected);
    put("less.safetensors", foreign(&weights, |_| Dtype::F32, Some(&but(&["sha256", "data"]))));
    assert_eq!(scored(&format!("less.safetensors {settings}")), expected);
    let mut changed = weights.clone();
    changed.values_mut().next().expect("a tensor").1[0] += 1.0;
    put("changed.safetensors", foreign(&changed, |_| Dtype::F32, Some(&texts)));
    let error = place.fail("eval changed.safetensors --device cpu", 5);
    assert!(error.contains("its content does not have its checksum"), "{error}");
}

#[test]
fn tensors_that_do_not_fit_are_listed() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a").replace("--epochs 3", "--epochs 1"));
    place.succeed("export a --out a.safetensors --device cpu");
    let mut weights = weights_of(&place, "a.safetensors");
    let taken = weights.remove("decoder.mean.bias").expect("it is there");
    weights.insert("fc4.bias".into(), taken);
    weights.insert("steps".into(), (vec![], vec![3.0]));
    let write = |weights: &BTreeMap<_, _>, dtype: fn(&str) -> Dtype| {
        std::fs::write(place.path("w.safetensors"), foreign(weights, dtype, None))
            .expect("written");
    };
    write(&weights, |_| Dtype::F32);
    let settings = "--preset digits --set model.hidden=9 --set model.latent=2";
    for command in ["eval w.safetensors", "sample w.safetensors"] {
        let error = place.fail(&format!("{command} {settings} --device cpu"), 5);
        for part in [
            "tensor decoder.mean.bias [784] is missing",
            "tensor fc4.bias [784] is unknown",
            "tensor steps [] is unknown",
            "tensor encoder.hidden.weight has shape [8, 784], but the model needs [9, 784]",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    let train = "train vae --init w.safetensors --hidden 8 --latent 2 --name t --device cpu";
    assert!(place.fail(train, 5).contains("fc4.bias [784] is unknown"));
    assert!(!place.path("runs/t").exists());
    write(&weights, |name| if name == "steps" { Dtype::I32 } else { Dtype::F32 });
    let error = place.fail(&format!("eval w.safetensors {settings} --device cpu"), 5);
    assert!(error.contains("tensor steps is of type I32") && !error.contains("damaged"), "{error}");
    let error = place.fail("eval w.safetensors --preset nothing --device cpu", 3);
    assert!(error.contains("unknown preset"), "{error}");
    let error = place.fail("eval vae --preset digits --device cpu", 3);
    assert!(error.contains("leave out --preset"), "{error}");
    assert!(
        place
            .fail(&format!("export w.safetensors {settings} --out x.safetensors"), 5)
            .contains("steps")
    );
}

//! Builds the page: compiles the engine for browsers, for the CPU and for WebGPU, and writes `dist/`, the files for a web
//! server, and `dist/pixelloom.html`, the same page as a single file that needs no server. `--no-engine` reuses the
//! compiled modules in `dist/`.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use wasm_bindgen_cli_support::Bindgen;

const TARGET: &str = "wasm32-unknown-unknown";
/// The modules of the page; each imports only from earlier ones.
const MODULES: [&str; 10] =
    ["digits", "grid", "pad", "engine", "devices", "complete", "draw", "plane", "train", "main"];
/// The trained models that the stations use.
const MODELS: [&str; 5] = ["diagbilstm", "rowlstm", "pixelcnn", "draw", "vae"];
/// Maximum size of the single file in bytes.
const LARGEST: usize = 6_000_000;
/// Maximum size of both compressed modules together in bytes.
const LARGEST_ENGINE: usize = 1_000_000;

type Outcome<T> = Result<T, String>;

fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

fn text(path: &Path) -> Outcome<String> {
    String::from_utf8(read(path)?).map_err(|_| format!("{} is not UTF-8", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let parent = path.parent().expect("a file");
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, bytes))
        .map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// Compiles one of the modules, `cpu` or `webgpu`, with a profile of `Cargo.toml`. Each is compiled on its own, because cargo would otherwise compile both
/// with the features of both.
fn compiled(here: &Path, name: &str, profile: &str) -> Outcome<Vec<u8>> {
    let target = here.join("target");
    let package = format!("pixelloom-web-{name}");
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--profile", profile, "--lib", "--package", &package, "--target", TARGET])
        .arg("--manifest-path")
        .arg(here.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", "-C target-feature=+simd128")
        .status()
        .map_err(|e| format!("cannot start cargo: {e}"))?;
    if !status.success() {
        return Err(format!(
            "cannot compile {package}; if its target is missing: rustup target add {TARGET}"
        ));
    }
    read(&target.join(TARGET).join(profile).join(format!("{}.wasm", package.replace('-', "_"))))
}

/// The module for WebGPU with its bindings to the browser, JavaScript that defines the global `webgpu_module`.
fn bound(wasm: Vec<u8>) -> Outcome<(String, Vec<u8>)> {
    let mut bindgen = Bindgen::new();
    let generate = || {
        let output = bindgen
            .input_bytes("webgpu", wasm)
            .no_modules(true)?
            .no_modules_global("webgpu_module")?
            .typescript(false)
            .omit_default_module_path(true)
            .remove_name_section(true)
            .remove_producers_section(true)
            .generate_output();
        output.map(|mut output| (output.js().to_string(), output.wasm_mut().emit_wasm()))
    };
    generate().map_err(|e| format!("cannot generate the bindings for WebGPU: {e}"))
}

/// The compiled modules and the bindings, by file name, compressed in the single file.
fn engine(here: &Path, compile: bool) -> Outcome<Vec<(String, Vec<u8>, bool)>> {
    let names = ["engine.wasm", "webgpu.wasm", "bindings.js"];
    let contents = match compile {
        false => {
            let dist = here.join("dist");
            names.iter().map(|name| read(&dist.join(name))).collect::<Outcome<Vec<_>>>()?
        }
        true => {
            let (bindings, webgpu) = bound(compiled(here, "webgpu", "small")?)?;
            vec![compiled(here, "cpu", "release")?, webgpu, bindings.into_bytes()]
        }
    };
    let files = names.into_iter().zip(contents);
    Ok(files.map(|(name, bytes)| (name.to_string(), bytes, true)).collect())
}

fn gzip(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(|e| e.to_string())
}

/// Four bytes as five characters, a fourth more instead of base64's third; `decoded` in `engine.js` reads it. The last
/// group may be shorter. No character means anything in HTML.
fn base85(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 85] =
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%()*+,.:;=?@[]^_{|}~";
    let mut out = String::with_capacity(bytes.len().div_ceil(4) * 5);
    for group in bytes.chunks(4) {
        let word = (0..4).fold(0_u32, |word, i| word << 8 | u32::from(*group.get(i).unwrap_or(&0)));
        let digits = [52_200_625, 614_125, 7225, 85, 1].map(|power| word / power % 85);
        out.extend(digits[..=group.len()].iter().map(|&digit| char::from(DIGITS[digit as usize])));
    }
    out
}

/// Wraps a module in a function, so that it needs no loader: imports become constants, exports the return value.
fn module(name: &str, source: &str) -> Outcome<String> {
    let mut body = String::new();
    let mut exports = Vec::new();
    for line in source.lines() {
        if let Some(import) = line.strip_prefix("import ") {
            let (names, from) = import
                .strip_suffix(".js\";")
                .and_then(|import| import.split_once(" from \"./"))
                .ok_or_else(|| format!("{name}.js: not an import of a module: {line}"))?;
            let _ = writeln!(body, "const {names} = {from}_module;");
        } else if let Some(rest) = line.strip_prefix("export ") {
            let word = |c: char| !(c.is_alphanumeric() || c == '_');
            let exported =
                rest.split(word).find(|w| !["const", "class", "function", "async", ""].contains(w));
            exports.push(exported.ok_or_else(|| format!("{name}.js: not an export: {line}"))?);
            let _ = writeln!(body, "{rest}");
        } else {
            let _ = writeln!(body, "{line}");
        }
    }
    Ok(format!(
        "const {name}_module = (() => {{\n{body}return {{ {} }};\n}})();\n",
        exports.join(", ")
    ))
}

/// The page as a single file that embeds the given files (name, bytes, whether to compress).
fn single(page: &Path, files: &[(String, Vec<u8>, bool)]) -> Outcome<String> {
    let mut script = String::new();
    for name in MODULES {
        script += &module(name, &text(&page.join(format!("{name}.js")))?)?;
    }
    let mut inside = String::new();
    for (name, bytes, compress) in files {
        let (bytes, note) = match compress {
            true => (gzip(bytes)?, " data-gzip=\"1\""),
            false => (bytes.clone(), ""),
        };
        let _ = writeln!(
            inside,
            "<script type=\"text/plain\" id=\"file:{name}\"{note}>{}</script>",
            base85(&bytes)
        );
    }
    let mut html = text(&page.join("index.html"))?;
    let style = format!("<style>\n{}</style>", text(&page.join("style.css"))?);
    for (place, with) in [
        ("<link rel=\"stylesheet\" href=\"style.css\">", style),
        (
            "<script type=\"module\" src=\"main.js\"></script>",
            format!("{inside}<script type=\"module\">\n{script}</script>"),
        ),
    ] {
        if html.matches(place).count() != 1 || script.contains("</script") {
            return Err(format!(
                "index.html must contain {place} once, and no module may contain </script"
            ));
        }
        html = html.replace(place, &with);
    }
    Ok(html)
}

fn run() -> Outcome<()> {
    let compile = match env::args().nth(1).as_deref() {
        None => true,
        Some("--no-engine") => false,
        Some(other) => return Err(format!("{other} is unknown; the only option is --no-engine")),
    };
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (page, dist) = (here.join("page"), here.join("dist"));
    let mut files = engine(here, compile)?;
    let mut size = 0;
    for (name, bytes, _) in files.iter().filter(|(name, ..)| name.ends_with(".wasm")) {
        let compressed = gzip(bytes)?.len();
        println!("{name}: {} bytes, {compressed} compressed", bytes.len());
        size += compressed;
    }
    for worker in ["worker.js", "webgpu.js"] {
        files.push((worker.to_string(), read(&page.join(worker))?, false));
    }
    for model in MODELS {
        let file = here.join(format!("../../src/run/pretrained/{model}.safetensors"));
        files.push((format!("models/{model}.safetensors"), read(&file)?, true));
    }
    let digits = read(&here.join("../../src/data/digits/train-images-idx3-ubyte.gz"))?;
    let mut images = Vec::new();
    GzDecoder::new(&digits[..]).read_to_end(&mut images).map_err(|e| format!("the digits: {e}"))?;
    files.push(("digits.idx".into(), images, true));
    for (name, bytes, _) in &files {
        write(&dist.join(name), bytes)?;
    }
    for name in ["index.html".to_string(), "style.css".to_string()]
        .into_iter()
        .chain(MODULES.map(|name| format!("{name}.js")))
    {
        write(&dist.join(&name), &read(&page.join(&name))?)?;
    }
    let html = single(&page, &files)?;
    write(&dist.join("pixelloom.html"), html.as_bytes())?;
    println!("{}: {} bytes", dist.join("pixelloom.html").display(), html.len());
    if html.len() >= LARGEST || size >= LARGEST_ENGINE {
        return Err(format!(
            "too large; the limits are {LARGEST} bytes for the page and {LARGEST_ENGINE} for the compressed modules"
        ));
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

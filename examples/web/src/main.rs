//! Builds the page: compiles the engine for browsers and writes `dist/`, the files for a web server, and
//! `dist/pixelloom.html`, the same page as a single file that needs no server. `--no-engine` reuses the last engine.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

const TARGET: &str = "wasm32-unknown-unknown";
/// The modules of the page; each imports only from earlier ones.
const MODULES: [&str; 9] =
    ["digits", "grid", "pad", "engine", "complete", "draw", "plane", "train", "main"];
/// The trained models that the stations use.
const MODELS: [&str; 5] = ["diagbilstm", "rowlstm", "pixelcnn", "draw", "vae"];
/// Maximum size of the single file in bytes.
const LARGEST: usize = 6_000_000;
/// Maximum size of the compressed engine in bytes.
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

/// Compiles the engine if `compile` is set, and returns the path of the compiled file.
fn engine(here: &Path, compile: bool) -> Outcome<PathBuf> {
    let target = here.join("target");
    let file = target.join(TARGET).join("release/pixelloom_web_engine.wasm");
    if !compile {
        return Ok(file);
    }
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--lib",
            "--package",
            "pixelloom-web-engine",
            "--target",
            TARGET,
        ])
        .arg("--manifest-path")
        .arg(here.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", "-C target-feature=+simd128")
        .status()
        .map_err(|e| format!("cannot start cargo: {e}"))?;
    match status.success() {
        true => Ok(file),
        false => Err(format!(
            "cannot compile the engine; if its target is missing: rustup target add {TARGET}"
        )),
    }
}

fn gzip(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(|e| e.to_string())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, i| word << 8 | u32::from(*group.get(i).unwrap_or(&0)));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= group.len() { char::from(digit) } else { '=' });
        }
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
            base64(&bytes)
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
    let wasm = read(&engine(here, compile)?)?;
    let mut files = vec![
        ("worker.js".to_string(), read(&page.join("worker.js"))?, false),
        ("engine.wasm".to_string(), wasm, true),
    ];
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
    let engine = gzip(&files[1].1)?.len();
    write(&dist.join("pixelloom.html"), html.as_bytes())?;
    println!("engine: {} bytes, {engine} compressed", files[1].1.len());
    println!("{}: {} bytes", dist.join("pixelloom.html").display(), html.len());
    if html.len() >= LARGEST || engine >= LARGEST_ENGINE {
        return Err(format!(
            "too large; the limits are {LARGEST} bytes for the page and {LARGEST_ENGINE} for the compressed engine"
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

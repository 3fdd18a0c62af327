//! The rules of the house that can be checked by reading the sources.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The layer of a source file: the module right below the crate's root.
fn module(path: &Path) -> String {
    let inner = path.strip_prefix(root().join("src")).unwrap();
    let first = inner.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_string()
}

/// From the top down. A module imports from its own layer's modules and from lower layers.
const LAYERS: [&[&str]; 16] = [
    &["main", "guide"],
    &["cli"],
    &["bench"],
    &["train"],
    &["report"],
    &["run"],
    &["settings", "images"],
    &["models", "data"],
    &["nn", "machine"],
    &["ops"],
    &["autograd"],
    &["kernel"],
    &["tensor"],
    &["device"],
    &["cpu", "gpu", "profile", "rng", "output"],
    &["files", "ranks", "signals", "error", "text"],
];

/// A CPU kernel reads the parameters that its op declares.
const EXCEPTIONS: [(&str, &str); 1] = [("cpu", "ops")];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|l| l.contains(&module))
}

/// `crate::x` uses that point up, as (file, imported module).
fn upward(path: &Path, text: &str) -> Vec<String> {
    let from = module(path);
    let Some(own) = layer(&from) else { return Vec::new() };
    let code: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let uses = code.split("crate::").skip(1).flat_map(|rest| {
        // `crate::name...`, or `crate::{name..., name...}`.
        let group =
            rest.strip_prefix('{').and_then(|r| r.split_once('}')).map(|(inside, _)| inside);
        group.map_or(vec![rest], |inside| inside.split(',').collect())
    });
    let uses = uses.filter_map(|rest| {
        let word = |c: &char| c.is_alphanumeric() || *c == '_';
        let name: String = rest.trim_start().chars().take_while(word).collect();
        let allowed = EXCEPTIONS.contains(&(from.as_str(), name.as_str()));
        (layer(&name)? < own && !allowed).then(|| format!("{} uses {name}", path.display()))
    });
    uses.collect()
}

#[test]
fn imports_point_down() {
    let mut wrong = Vec::new();
    for path in files(&root().join("src"), "rs") {
        wrong.extend(upward(&path, &fs::read_to_string(&path).unwrap()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let planted = upward(&root().join("src/ops/unary.rs"), "use crate::models::vae::Vae;");
    assert_eq!(planted.len(), 1, "the check does not see a planted fault");
    let planted = upward(&root().join("src/tensor.rs"), "crate::ops::unary::apply(x)");
    assert_eq!(planted.len(), 1, "the check does not see a planted fault");
    let planted = upward(&root().join("src/nn/linear.rs"), "use crate::{Tape, models::vae::Vae};");
    assert_eq!(planted.len(), 1, "the check does not see a planted fault");
}

#[test]
fn every_source_file_belongs_to_a_layer() {
    for path in files(&root().join("src"), "rs") {
        let module = module(&path);
        assert!(module == "lib" || layer(&module).is_some(), "{} is in no layer", path.display());
    }
}

#[test]
fn wgpu_and_mpi_are_named_in_one_place_and_the_device_is_asked_for_in_one_file() {
    for path in files(&root().join("src"), "rs") {
        let text = fs::read_to_string(&path).unwrap();
        let code: String = text
            .lines()
            .filter(|l| !l.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        if module(&path) != "gpu" {
            assert!(!code.contains("wgpu::"), "{} names wgpu", path.display());
        }
        let ranks = root().join("src/ranks.rs");
        assert!(path == ranks || !code.contains("mpi::"), "{} names mpi", path.display());
        if module(&path) != "device" {
            for arm in ["Device::Cpu(_)", "Device::Gpu(_)", "Buffer::Cpu(", "Buffer::Gpu("] {
                assert!(!code.contains(arm), "{} asks which device it is", path.display());
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_and_stays_readable() {
    let sources = files(&root().join("src"), "rs");
    let others = ["tests", "examples"].map(|dir| files(&root().join(dir), "rs")).concat();
    for path in sources.iter().chain(&others) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.starts_with("//!"), "{} does not say what it is", path.display());
        let lines = text.lines().count();
        assert!(lines <= 500, "{} has {lines} lines", path.display());
    }
    for path in files(&root().join("shaders"), "wgsl") {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//"), "{} does not say what it is", path.display());
    }
}

/// The same stem names an op and its CPU functions; `shared` is made of other ops' kernels. (Shaders
/// carry the kernels' names: `shaders.rs`.)
#[test]
fn stems_are_the_same_in_ops_and_cpu() {
    let stems = |dir: &str| -> Vec<String> {
        let stem = |p: PathBuf| p.file_stem().unwrap().to_str().unwrap().to_string();
        let top = root().join(dir);
        let direct = |p: &PathBuf| p.parent() == Some(top.as_path());
        files(&top, "rs").into_iter().filter(direct).map(stem).filter(|s| s != "mod").collect()
    };
    let without = ["axes", "window"];
    let ops: Vec<String> =
        stems("src/ops").into_iter().filter(|s| !without.contains(&s.as_str())).collect();
    let services = ["isa", "math", "pool", "simd", "taps", "weights"];
    let cpu: Vec<String> =
        stems("src/cpu").into_iter().filter(|s| !services.contains(&s.as_str())).collect();
    assert_eq!(ops, cpu);
}

//! The rules of the project that can be checked by reading the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // Crates outside the package (fuzzing, the page) build into folders of their own.
            if !path.ends_with("target") {
                found.extend(files(&path, extension));
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The top-level module of a source file.
pub fn module(path: &Path) -> String {
    let inner = path.strip_prefix(root().join("src")).unwrap();
    let first = inner.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_string()
}

/// The layers, from top to bottom. A module may import from its own layer and from lower layers.
const LAYERS: [&[&str]; 19] = [
    &["main", "guide"],
    &["cli"],
    &["bench"],
    &["train"],
    &["report"],
    &["run"],
    &["settings", "images"],
    &["data"],
    &["models"],
    &["nn", "machine"],
    &["ops"],
    &["autograd"],
    &["kernel"],
    &["tensor"],
    &["device"],
    &["gpu", "rng"],
    &["cpu"],
    &["profile", "output", "terminal"],
    &["files", "ranks", "signals", "model_file", "error", "text", "tiles"],
];

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
        (layer(&name)? < own).then(|| format!("{} uses {name}", path.display()))
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
    let planted = upward(&root().join("src/ops/unary/mod.rs"), "use crate::models::vae::Vae;");
    assert_eq!(planted.len(), 1, "the check does not see a planted fault");
    let planted = upward(&root().join("src/tensor.rs"), "crate::ops::unary::apply(x)");
    assert_eq!(planted.len(), 1, "the check does not see a planted fault");
    let planted = upward(&root().join("src/nn/linear.rs"), "use crate::{Tape, models::vae::Vae};");
    assert_eq!(planted.len(), 1, "the check does not see a planted fault");
}

/// Names of families (`ModelConfig::Vae`) in the code of `text` before its tests.
fn families(text: &str) -> usize {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let named = |rest: &str| rest.starts_with(|c: char| c.is_ascii_uppercase());
    code.split("ModelConfig::").skip(1).filter(|rest| named(rest)).count()
}

/// A family is a folder of `models` and a line of its registry; no module above distinguishes families. Workloads are
/// the exception, because they are the papers' models.
#[test]
fn only_models_and_workloads_name_a_family() {
    for path in files(&root().join("src"), "rs") {
        let tests = path.ends_with("tests.rs");
        if module(&path) != "models" && !path.ends_with("bench/workloads.rs") && !tests {
            let named = families(&fs::read_to_string(&path).unwrap());
            assert!(named == 0, "{} names a family {named} times", path.display());
        }
    }
    assert_eq!(families("if let ModelConfig::Draw(draw) = model {}"), 1);
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
            for arm in [
                "Device::Cpu(_)",
                "Device::Reference(_)",
                "Device::Gpu(_)",
                "Buffer::Cpu(",
                "Buffer::Gpu(",
            ] {
                assert!(!code.contains(arm), "{} asks which device it is", path.display());
            }
        }
    }
}

#[test]
fn every_file_has_a_doc_comment_and_a_readable_length() {
    let sources = files(&root().join("src"), "rs");
    let others = ["tests", "examples"].map(|dir| files(&root().join(dir), "rs")).concat();
    for path in sources.iter().chain(&others) {
        let text = fs::read_to_string(path).unwrap();
        assert!(
            text.starts_with("//!"),
            "{} does not start with a comment that describes it",
            path.display()
        );
        let lines = text.lines().count();
        assert!(lines <= 500, "{} has {lines} lines", path.display());
    }
    for path in files(&root().join("shaders"), "wgsl") {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//"),
            "{} does not start with a comment that describes it",
            path.display()
        );
    }
}

/// Files in every operation's folder, in addition to `mod.rs`.
const OP_FILES: [&str; 3] = ["cpu.rs", "params.rs", "reference.rs"];

#[test]
fn every_op_is_a_folder_with_its_cpu_kernels_and_parameters() {
    for entry in fs::read_dir(root().join("src/ops")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_file() {
            assert!(["mod.rs", "axes.rs", "large.rs"].contains(&name), "{name}: an op is a folder");
            continue;
        }
        for file in OP_FILES {
            assert!(path.join(file).exists(), "ops/{name} has no {file}");
        }
        let shaders = root().join("shaders").join(name);
        assert!(shaders.is_dir(), "ops/{name} has no folder {}", shaders.display());
    }
}

/// The path of a module, such as "ops::unary::cpu"; the crate's root is "".
pub type ModulePath = Vec<String>;

/// The module of a file.
pub fn module_path(path: &Path) -> ModulePath {
    let inner = path.strip_prefix(root().join("src")).unwrap().with_extension("");
    let parts = inner.components().map(|c| c.as_os_str().to_str().unwrap().to_string());
    parts.filter(|part| part != "mod" && part != "lib").collect()
}

/// The paths that start with `crate`, `super` or `self` in a file's code, without its tests, with groups in braces
/// expanded; each path is a list of words.
pub fn paths(text: &str) -> Vec<Vec<String>> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '$') {
                tree(&code[at..], &mut Vec::new(), &mut found);
            }
        }
    }
    found
}

/// Adds the paths of one use tree, with `prefix` before them, to `found`; returns what follows it.
fn tree<'a>(mut text: &'a str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let depth = prefix.len();
    loop {
        text = text.trim_start();
        if let Some(inside) = text.strip_prefix('{') {
            text = inside;
            loop {
                text = tree(text, prefix, found).trim_start();
                match text.strip_prefix(',') {
                    Some(rest) => text = rest,
                    None => break,
                }
            }
            text = text.strip_prefix('}').unwrap_or(text);
            break;
        }
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        prefix.push(text[..end].to_string());
        text = &text[end..];
        match text.strip_prefix("::") {
            Some(rest) => text = rest,
            None => {
                found.push(prefix.clone());
                break;
            }
        }
    }
    prefix.truncate(depth);
    text
}

/// The folders in which files or folders import each other in a cycle, as "folder: a, b, c". The folder of an operation
/// counts as one unit, and `mod.rs` is not part of any cycle, because it only combines its folder.
fn cycles(sources: &[(ModulePath, String)]) -> Vec<String> {
    let modules: BTreeSet<&ModulePath> = sources.iter().map(|(module, _)| module).collect();
    let exported = &sources.iter().find(|(module, _)| module.is_empty()).unwrap().1;
    // `pub use autograd::{Tape, Var};` in lib.rs: crate::Tape is autograd's.
    let mut home: BTreeMap<String, String> = BTreeMap::new();
    for rest in exported.split("pub use ").skip(1) {
        let mut found = Vec::new();
        tree(rest, &mut Vec::new(), &mut found);
        // The prelude names what has a home already.
        let first = found.into_iter().filter(|p| p.len() > 1 && p[0] != "crate");
        home.extend(first.map(|p| (p[1].clone(), p[0].clone())));
    }
    // For each folder, which entries import which.
    let mut imports: BTreeMap<ModulePath, BTreeSet<(String, String)>> = BTreeMap::new();
    for (module, text) in sources {
        for path in paths(text) {
            let mut to = if path[0] == "crate" { Vec::new() } else { module.clone() };
            for word in path {
                match word.as_str() {
                    "crate" | "self" => {}
                    "super" => drop(to.pop()),
                    name => {
                        let name =
                            if to.is_empty() { home.get(name).map_or(name, |h| h) } else { name };
                        to.push(name.to_string());
                        if !modules.contains(&to) {
                            to.pop();
                            break;
                        }
                    }
                }
            }
            let common = module.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if let (Some(a), Some(b)) = (module.get(common), to.get(common)) {
                let folder = module[..common].to_vec();
                imports.entry(folder).or_default().insert((a.clone(), b.clone()));
            }
        }
    }
    let inside_an_op = |folder: &ModulePath| folder.len() > 1 && folder[0] == "ops";
    let core = |folder: &ModulePath| folder.first().is_none_or(|f| CORE.contains(&f.as_str()));
    let folders = imports.iter().filter(|(folder, _)| core(folder) && !inside_an_op(folder));
    let mut found = Vec::new();
    for (folder, edges) in folders {
        let reach = |from: &String| {
            let (mut seen, mut todo) = (BTreeSet::new(), vec![from.clone()]);
            while let Some(at) = todo.pop() {
                let next = edges.iter().filter(|(a, _)| *a == at).map(|(_, b)| b.clone());
                todo.extend(next.filter(|b| seen.insert(b.clone())));
            }
            seen
        };
        let nodes: BTreeSet<&String> = edges.iter().flat_map(|(a, b)| [a, b]).collect();
        let reached: BTreeMap<&String, BTreeSet<String>> =
            nodes.iter().map(|n| (*n, reach(n))).collect();
        let groups: BTreeSet<Vec<&str>> = nodes
            .iter()
            .filter(|n| reached[*n].contains(n.as_str()))
            .map(|n| {
                let both = |m: &&&String| {
                    reached[*n].contains(m.as_str()) && reached[**m].contains(n.as_str())
                };
                nodes.iter().filter(both).map(|m| m.as_str()).collect()
            })
            .collect();
        let folder = if folder.is_empty() { "src".into() } else { folder.join("::") };
        found.extend(groups.iter().map(|group| format!("{folder}: {}", group.join(", "))));
    }
    found
}

/// The folders that are checked: the crate's root (with folders as units) and those of the core.
const CORE: [&str; 8] = ["src", "models", "nn", "ops", "autograd", "gpu", "rng", "cpu"];

/// Accepted cycles.
const ACCEPTED: [&str; 3] = [
    // Isa refers to the products of each instruction set, which use the types that the products share.
    "cpu::gemm: blocking, dots, isa, parallel, peak, sparse",
    // A single lock protects all of a GPU's state.
    "gpu: bindings, context, pipelines, pool, profile, recorder",
    // Each occurs in the gradient of the others: the gradient of a broadcast is a sum, and that of a sum a broadcast.
    "ops: binary, layout, reduce",
];

#[test]
fn imports_have_no_cycles() {
    let paths = files(&root().join("src"), "rs");
    let read = |path: &PathBuf| (module_path(path), fs::read_to_string(path).unwrap());
    let mut sources: Vec<_> = paths.iter().filter(|p| !p.ends_with("main.rs")).map(read).collect();
    assert_eq!(cycles(&sources), ACCEPTED);

    // Planted fault: mask imports the convolution that imports it, written in two ways.
    for import in ["use crate::ops::{masked_conv::Window};", "fn f() { super::masked_conv::g() }"] {
        let mut planted = sources.clone();
        let mask = planted.iter_mut().find(|(m, _)| m.join("::") == "ops::mask").unwrap();
        mask.1.insert_str(0, import);
        let found = cycles(&planted);
        assert!(found.iter().any(|c| c.contains("mask, masked_conv")), "{import}: {found:?}");
    }
    // A file of the lowest layer that imports the highest one through a name that lib.rs exports.
    let (_, text) = sources.iter_mut().find(|(m, _)| m.join("::") == "profile").unwrap();
    text.push_str("use crate::Tape;");
    assert!(cycles(&sources).iter().any(|c| c.contains("autograd") && c.contains("profile")));
}

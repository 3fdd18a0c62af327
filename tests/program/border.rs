//! The border between the core, which is a library, and the program around it: what the core may import, and which side
//! each dependency belongs to.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use toml::{Table, Value};

use super::house::{files, module, module_path, paths, root};

/// The top-level modules of the core.
const CORE: [&str; 15] = [
    "autograd",
    "cpu",
    "device",
    "error",
    "gpu",
    "kernel",
    "model_file",
    "models",
    "nn",
    "ops",
    "profile",
    "rng",
    "tensor",
    "text",
    "tiles",
];

/// Modules that belong to neither side: the crate's roots and its guide.
const ROOTS: [&str; 3] = ["lib", "main", "guide"];

/// The crates that the core imports without a feature.
const CRATES: [&str; 11] = [
    "bytemuck",
    "half",
    "rand",
    "rand_distr",
    "rayon",
    "safetensors",
    "serde",
    "serde_json",
    "sha2",
    "smallvec",
    "thiserror",
];

/// The crates that the core imports with the feature `gpu`.
const GPU_CRATES: [&str; 2] = ["pollster", "wgpu"];

fn manifest() -> Table {
    fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap()
}

/// The modules of the program.
fn program() -> BTreeSet<String> {
    let all = files(&root().join("src"), "rs").into_iter().map(|path| module(&path));
    all.filter(|m| !CORE.contains(&m.as_str()) && !ROOTS.contains(&m.as_str())).collect()
}

/// Whether code names a crate: `name::` or `use name`.
fn names(code: &str, crate_name: &str) -> bool {
    code.match_indices(crate_name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + crate_name.len()..]);
        let inner = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let whole = !before.ends_with(inner);
        let used = before.ends_with("use ") && !after.starts_with(|c: char| inner(c) && c != ':');
        whole && (after.starts_with("::") || used)
    })
}

/// The imports of a core file from the other side of the border.
fn beyond(path: &Path, text: &str, program: &BTreeSet<String>, crates: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for words in paths(text) {
        let mut to = module_path(path);
        for word in words {
            match word.as_str() {
                "crate" => to.clear(),
                "self" => {}
                "super" => drop(to.pop()),
                _ => to.push(word),
            }
        }
        found.extend(to.first().filter(|m| program.contains(*m)).cloned());
    }
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    found.extend(crates.iter().filter(|name| names(&code, name)).cloned());
    found
}

/// The names, in the form used in code, of the dependencies that the core may not import.
fn crates_of_the_program() -> Vec<String> {
    let all = manifest()["dependencies"].as_table().unwrap().clone();
    let names = all.keys().map(|name| name.replace('-', "_"));
    names.filter(|n| ![&CRATES[..], &GPU_CRATES].concat().contains(&n.as_str())).collect()
}

#[test]
fn the_core_imports_nothing_of_the_program() {
    let (program, crates) = (program(), crates_of_the_program());
    let mut wrong = Vec::new();
    for path in files(&root().join("src"), "rs") {
        // Unit tests may import anything.
        if !CORE.contains(&module(&path).as_str()) || path.ends_with("tests.rs") {
            continue;
        }
        let found = beyond(&path, &fs::read_to_string(&path).unwrap(), &program, &crates);
        wrong.extend(found.iter().map(|what| format!("{} imports {what}", path.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let path = root().join("src/nn/linear.rs");
    for planted in [
        "use crate::train::Trainer;",
        "use crate::{Tape, data::Images};",
        "fn f() { super::super::report::write() }",
        "use png::Encoder;",
        "use plotters;",
        "#[derive(clap::Args)]",
    ] {
        let found = beyond(&path, planted, &program, &crates);
        assert_eq!(found.len(), 1, "the check does not see {planted}: {found:?}");
    }
    for allowed in ["use crate::ops::data;", "use rayon::prelude::*;", "let toml_text = 1;"] {
        assert!(beyond(&path, allowed, &program, &crates).is_empty(), "{allowed}");
    }
}

/// Each module of the program is behind the feature in `lib.rs`, and no module of the core is.
#[test]
fn lib_declares_the_border() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let (mut core, mut program_modules) = (BTreeSet::new(), BTreeSet::new());
    let lines: Vec<&str> = text.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) else {
            continue;
        };
        let behind = i > 0 && lines[i - 1] == "#[cfg(feature = \"program\")]";
        if behind { &mut program_modules } else { &mut core }.insert(name.to_string());
    }
    core.remove("guide");
    assert_eq!(core, CORE.map(String::from).into());
    let mut expected = program();
    // The commands belong to the binary, which needs the feature.
    expected.remove("cli");
    assert_eq!(program_modules, expected);
}

/// The optional dependencies are those of the program, of the GPU and of MPI, and each feature lists its own.
#[test]
fn every_dependency_belongs_to_one_side() {
    let manifest = manifest();
    let dependencies = manifest["dependencies"].as_table().unwrap();
    let optional = |value: &Value| value.get("optional").and_then(Value::as_bool) == Some(true);
    let set = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<BTreeSet<String>>();
    let always = dependencies.iter().filter(|(_, v)| !optional(v)).map(|(name, _)| name.clone());
    assert_eq!(always.collect::<BTreeSet<_>>(), set(&CRATES));

    let feature = |name: &str| -> BTreeSet<String> {
        let list = manifest["features"][name].as_array().unwrap();
        list.iter().map(|v| v.as_str().unwrap().replace("dep:", "")).collect()
    };
    assert_eq!(feature("gpu"), set(&GPU_CRATES));
    assert_eq!(feature("mpi"), set(&["mpi", "program"]));
    assert_eq!(feature("default"), set(&["gpu", "program"]));
    let mut others: BTreeSet<String> =
        dependencies.iter().filter(|(_, v)| optional(v)).map(|(name, _)| name.clone()).collect();
    for name in [&GPU_CRATES[..], &["mpi"]].concat() {
        assert!(others.remove(name), "{name} is not optional");
    }
    assert_eq!(feature("program"), others);
}

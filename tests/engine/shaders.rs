//! Every shader compiles for every back end and follows the conventions of the crate. Needs no GPU.
//!
//! naga parses the shaders, validates them without optional capabilities, and writes SPIR-V, MSL and HLSL. It
//! does not detect barriers in non-uniform control flow; `tint` does, if it is installed.

use std::collections::BTreeSet;
use std::process::Command;

use naga::back::pipeline_constants::process_overrides;
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess, TypeInner};
use pixelloom::kernel::Field;
use pixelloom::ops;

const INVOCATIONS: u32 = 256;
const WORKGROUP_BYTES: u32 = 16 << 10;
const STORAGE_BUFFERS: usize = 8;

/// A shader, with what its kernel declares about it.
#[derive(Clone)]
pub struct Shader {
    pub source: String,
    overrides: Vec<(&'static str, u32)>,
    entries: Vec<&'static str>,
    inputs: usize,
    outputs: usize,
    params_size: usize,
    fields: Vec<Field>,
}

/// The shaders of devices without subgroup operations.
pub fn shaders() -> Vec<(&'static str, Shader)> {
    shaders_for(0)
}

/// The shaders that use subgroup operations, in subgroups of 4, 8 and 16.
pub fn shaders_with_subgroups() -> Vec<(&'static str, Shader)> {
    let all = [4, 8, 16].into_iter().flat_map(shaders_for);
    all.filter(|(_, shader)| shader.uses_subgroups()).collect()
}

/// The shaders of devices with subgroups of this size; 0 stands for no subgroup operations.
fn shaders_for(subgroup: u32) -> Vec<(&'static str, Shader)> {
    let shader = |k: Box<dyn pixelloom::kernel::AnyKernel>| {
        let program = k.program();
        let (source, overrides) = program.source.with_subgroups(subgroup);
        let shader = Shader {
            source: source.into(),
            overrides,
            entries: k.entries().to_vec(),
            inputs: program.inputs,
            outputs: program.outputs,
            params_size: k.params_size(),
            fields: k.fields().to_vec(),
        };
        (program.name, shader)
    };
    let kernels = ops::kernels().into_iter();
    #[cfg(feature = "program")]
    let kernels = kernels.chain(pixelloom::bench::probe::kernels());
    kernels.map(shader).collect()
}

impl Shader {
    fn uses_subgroups(&self) -> bool {
        self.source.contains("subgroupShuffle")
    }

    /// The optional capabilities that it needs.
    pub fn capabilities(&self) -> Capabilities {
        match self.uses_subgroups() {
            true => Capabilities::SUBGROUP,
            false => Capabilities::empty(),
        }
    }
}

fn ensure(holds: bool, why: impl Fn() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

fn check(shader: &Shader) -> Result<(), String> {
    let module = naga::front::wgsl::parse_str(&shader.source)
        .map_err(|e| e.emit_to_string(&shader.source))?;
    let info = Validator::new(ValidationFlags::all(), shader.capabilities())
        .validate(&module)
        .map_err(|e| e.emit_to_string(&shader.source))?;
    bindings(shader, &module)?;
    let names: Vec<&str> = module.entry_points.iter().map(|e| e.name.as_str()).collect();
    ensure(names == shader.entries, || format!("entry points {names:?}"))?;
    // An override without a name is an expression of the others.
    let own: BTreeSet<_> = module.overrides.iter().filter_map(|(_, o)| o.name.as_deref()).collect();
    let host: BTreeSet<_> = shader.overrides.iter().map(|(name, _)| *name).collect();
    ensure(own == host, || format!("overrides {own:?}, on the host {host:?}"))?;
    let values = shader.overrides.iter().map(|(name, value)| (name.to_string(), f64::from(*value)));
    let (module, info) = process_overrides(&module, &info, None, &values.collect())
        .map_err(|e| format!("overrides: {e}"))?;
    for number in 0..module.entry_points.len() {
        workgroup(&module, &info, number)?;
        write_out(&module, &info, shader.entries[number])?;
    }
    Ok(())
}

/// Checks the bindings of group 0: uniform parameters at binding 0, then read-only inputs, then read-write outputs.
/// Inputs and outputs are arrays of f32; a suffix of the name marks views as `vec4` or as atomic bits.
fn bindings(shader: &Shader, module: &Module) -> Result<(), String> {
    let (inputs, count) = (shader.inputs, shader.inputs + shader.outputs);
    ensure(count <= STORAGE_BUFFERS, || format!("{count} storage buffers"))?;
    let mut found = BTreeSet::new();
    for (_, variable) in module.global_variables.iter() {
        let name = variable.name.as_deref().unwrap_or("");
        let Some(at) = variable.binding else {
            ensure(variable.space == AddressSpace::WorkGroup, || format!("{name}: unbound"))?;
            continue;
        };
        let fours = name.ends_with("_fours");
        let atomics = name.ends_with("_atomics");
        let once = found.insert(at.binding) || fours;
        ensure(at.group == 0 && once, || format!("{name}: {at:?}"))?;
        let number = at.binding as usize;
        let (read, both) = (StorageAccess::LOAD, StorageAccess::LOAD | StorageAccess::STORE);
        let expected = match number {
            0 => AddressSpace::Uniform,
            n if n <= inputs => AddressSpace::Storage { access: read },
            _ => AddressSpace::Storage { access: both },
        };
        ensure(variable.space == expected, || format!("{name}: {:?}", variable.space))?;
        let ty = &module.types[variable.ty].inner;
        if number == 0 {
            let size = ty.size(module.to_ctx()) as usize;
            ensure(matches!(ty, TypeInner::Struct { .. }), || format!("{name} is no struct"))?;
            ensure(size == shader.params_size, || {
                format!("parameters of {size} bytes, but {} on the host", shader.params_size)
            })?;
            let (host, own) = (on_host(&shader.fields), in_shader(module, ty)?);
            ensure(host == own, || format!("parameters {own:?}, but {host:?} on the host"))?;
        } else {
            let element = match ty {
                TypeInner::Array { base, .. } => Some(module.types[*base].inner.clone()),
                _ => None,
            };
            let scalar = naga::Scalar::F32;
            let expected = match (fours, atomics) {
                (true, _) => TypeInner::Vector { size: naga::VectorSize::Quad, scalar },
                (_, true) => TypeInner::Atomic(naga::Scalar::U32),
                _ => TypeInner::Scalar(scalar),
            };
            ensure(element == Some(expected), || format!("{name} is no array of f32"))?;
        }
    }
    let all: BTreeSet<u32> = (0..=count as u32).collect();
    ensure(found == all, || format!("bindings {found:?}, not {all:?}"))
}

/// Name, type and offset of a field, without padding. An array on the host is a vector in WGSL, or separate scalars
/// `name_0`, `name_1`, ... where the alignment of a vector would move it.
type Member = (String, String, usize);

fn vector(scalar: &str, count: usize) -> String {
    if count == 1 { scalar.into() } else { format!("vec{count}<{scalar}>") }
}

/// The fields on the host, as a shader would declare them.
fn on_host(fields: &[Field]) -> Vec<Member> {
    let fields = fields.iter().filter(|f| f.name != "unused");
    let members = fields.flat_map(|f| {
        // The alignment in WGSL of a vector of this many components, in bytes.
        let alignment = [4, 4, 8, 16, 16][f.count.min(4)];
        let whole = f.count <= 4 && f.offset.is_multiple_of(alignment) && f.count != 3;
        let each = |i: usize| (format!("{}_{i}", f.name), f.scalar.into(), f.offset + 4 * i);
        match whole {
            true => vec![(f.name.to_string(), vector(f.scalar, f.count), f.offset)],
            false => (0..f.count).map(each).collect(),
        }
    });
    members.collect()
}

/// The members of the uniform struct of a shader.
fn in_shader(module: &Module, ty: &TypeInner) -> Result<Vec<Member>, String> {
    let TypeInner::Struct { members, .. } = ty else { return Err("no struct".into()) };
    let name = |scalar: naga::Scalar| match (scalar.kind, scalar.width) {
        (naga::ScalarKind::Uint, 4) => Ok("u32"),
        (naga::ScalarKind::Sint, 4) => Ok("i32"),
        (naga::ScalarKind::Float, 4) => Ok("f32"),
        other => Err(format!("a parameter is {other:?}")),
    };
    let mut found = Vec::new();
    for member in members {
        let own = member.name.clone().unwrap_or_default();
        let ty = match module.types[member.ty].inner {
            TypeInner::Scalar(scalar) => name(scalar)?.to_string(),
            TypeInner::Vector { size, scalar } => vector(name(scalar)?, size as usize),
            ref other => return Err(format!("parameter {own} is {other:?}")),
        };
        if own != "unused" {
            found.push((own, ty, member.offset as usize));
        }
    }
    Ok(found)
}

/// Checks the workgroup size and memory against the limits that every GPU supports.
fn workgroup(module: &Module, info: &ModuleInfo, number: usize) -> Result<(), String> {
    let entry = &module.entry_points[number];
    ensure(entry.stage == ShaderStage::Compute, || format!("{} computes nothing", entry.name))?;
    let invocations: u32 = entry.workgroup_size.iter().product();
    ensure(invocations <= INVOCATIONS, || format!("{}: {invocations} invocations", entry.name))?;
    let used = info.get_entry_point(number);
    let bytes: u32 = module
        .global_variables
        .iter()
        .filter(|(handle, v)| v.space == AddressSpace::WorkGroup && !used[*handle].is_empty())
        .map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx()))
        .sum();
    ensure(bytes <= WORKGROUP_BYTES, || {
        format!("{}: {bytes} bytes of workgroup memory", entry.name)
    })
}

/// Writes SPIR-V for Vulkan, MSL for Metal and HLSL for DX12.
fn write_out(module: &Module, info: &ModuleInfo, entry: &str) -> Result<(), String> {
    let stage = ShaderStage::Compute;
    let options = spv::PipelineOptions { shader_stage: stage, entry_point: entry.into() };
    spv::write_vec(module, info, &spv::Options::default(), Some(&options))
        .map_err(|e| format!("{entry} in SPIR-V: {e}"))?;
    let options = msl::PipelineOptions {
        entry_point: Some((stage, entry.into())),
        ..msl::PipelineOptions::default()
    };
    msl::write_string(module, info, &msl::Options::default(), &options)
        .map_err(|e| format!("{entry} in MSL: {e}"))?;
    let options = hlsl::PipelineOptions { entry_point: Some((stage, entry.into())) };
    hlsl::Writer::new(&mut String::new(), &hlsl::Options::default(), &options)
        .write(module, info, None)
        .map_err(|e| format!("{entry} in HLSL: {e}"))?;
    Ok(())
}

/// Validates with tint, which analyses where control flow is uniform.
fn tint(source: &str) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shader.wgsl");
    std::fs::write(&path, source).unwrap();
    let output = Command::new("tint").args(["--format", "wgsl"]).arg(&path).output().unwrap();
    ensure(output.status.success(), || String::from_utf8_lossy(&output.stderr).into_owned())
}

fn has_tint() -> bool {
    let found = Command::new("tint").arg("--help").output().is_ok();
    if !found {
        println!("tint is not installed: no check for barriers in non-uniform control flow");
    }
    found
}

#[test]
fn every_shader_keeps_to_the_conventions() {
    let with_subgroups = shaders_with_subgroups();
    // Seven of attention and two of filterbanks.
    assert_eq!(with_subgroups.len(), 3 * 9);
    let failures: Vec<String> = shaders()
        .iter()
        .chain(&with_subgroups)
        .filter_map(|(name, s)| check(s).err().map(|why| format!("{name}: {why}")))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_shader_passes_tint() {
    if !has_tint() {
        return;
    }
    for (name, shader) in shaders() {
        tint(&shader.source).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    for (name, shader) in shaders_with_subgroups() {
        let source = format!("enable subgroups;\n{}", shader.source);
        tint(&source).unwrap_or_else(|why| panic!("{name} with subgroups: {why}"));
    }
}

/// Names the folder that the next test writes to.
const FOLDER: &str = "PIXELLOOM_SHADERS";

#[test]
#[ignore = "writes every shader to the folder that PIXELLOOM_SHADERS names, for other compilers such as a browser's"]
fn shaders_are_written_to_a_folder() {
    let folder = std::path::PathBuf::from(std::env::var(FOLDER).expect(FOLDER));
    std::fs::create_dir_all(&folder).unwrap();
    let all = shaders();
    for (name, shader) in &all {
        std::fs::write(folder.join(format!("{name}.wgsl")), &shader.source).unwrap();
    }
    assert!(all.len() > 40, "{} shaders", all.len());
}

const TOY: &str = "
    struct Params { n: u32, a: f32, b: vec2<i32>, c_0: u32, c_1: u32, c_2: u32 }
    @group(0) @binding(0) var<uniform> p: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;
    override SIDE: u32;
    var<workgroup> tile: array<f32, 256>;
    @compute @workgroup_size(256) fn toy(@builtin(local_invocation_index) i: u32) {
        tile[i] = x[i];
        workgroupBarrier();
        if i < p.n { y[i] = tile[SIDE - 1u - i]; }
    }";

fn toy(from: &str, to: &str) -> Shader {
    assert!(TOY.contains(from));
    let source = TOY.replace(from, to);
    let fields = vec![
        Field { name: "n", scalar: "u32", count: 1, offset: 0 },
        Field { name: "a", scalar: "f32", count: 1, offset: 4 },
        Field { name: "b", scalar: "i32", count: 2, offset: 8 },
        Field { name: "c", scalar: "u32", count: 3, offset: 16 },
        Field { name: "unused", scalar: "u32", count: 1, offset: 28 },
    ];
    let (entries, overrides) = (vec!["toy"], vec![("SIDE", 256)]);
    Shader { source, overrides, entries, inputs: 1, outputs: 1, params_size: 32, fields }
}

#[test]
fn planted_faults_fail() {
    check(&toy("", "")).unwrap();
    for (from, to) in [
        ("p.n", "p.m"),
        ("x[i]", "i"),
        ("n: u32", "m: u32, n: u32"),
        ("n: u32", "n: f16"),
        ("n: u32", "n: i32"),
        // Parameters of the same size, but with another name, order or type, or scalars instead of a vector.
        ("c_1: u32", "d_1: u32"),
        ("c_0: u32, c_1: u32", "c_1: u32, c_0: u32"),
        ("n: u32, a: f32", "a: f32, n: u32"),
        ("a: f32", "a: u32"),
        ("b: vec2<i32>", "b: vec2<u32>"),
        ("b: vec2<i32>", "b_0: i32, b_1: i32"),
        ("c_2: u32 }", "}"),
        ("storage, read>", "storage, read_write>"),
        ("@binding(1)", "@binding(3)"),
        ("var<storage, read> x: array<f32>", "var<storage, read> x: array<i32>"),
        ("workgroup_size(256)", "workgroup_size(512)"),
        ("array<f32, 256>", "array<f32, 4097>"),
        ("fn toy", "fn other"),
        // An override that the host does not set, and a constant that it cannot.
        ("override SIDE: u32;", "override SIDE: u32; override DEPTH: u32;"),
        ("override SIDE: u32", "const SIDE: u32 = 256u"),
        ("@group(0) @binding(2)", "@group(1) @binding(2)"),
    ] {
        assert!(check(&toy(from, to)).is_err(), "{to:?} for {from:?} passed");
    }
    assert!(check(&Shader { outputs: 2, ..toy("", "") }).is_err());
    if has_tint() {
        tint(TOY).unwrap();
        let wrong = toy("workgroupBarrier();", "if x[i] > 0.0 { workgroupBarrier(); }");
        assert!(tint(&wrong.source).is_err(), "tint lets a non-uniform barrier pass");
    }
}

#[test]
fn files_and_kernels_correspond() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders");
    let entries = |directory: &str| -> Vec<std::path::PathBuf> {
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let stem = |p: &std::path::Path| p.file_stem().unwrap().to_str().unwrap().to_string();
    let files = |directory: &str| -> Vec<(String, String)> {
        let read = |p: &std::path::PathBuf| (stem(p), std::fs::read_to_string(p).unwrap());
        entries(directory).iter().map(read).collect()
    };
    let (kernels, with_subgroups) = (shaders(), shaders_with_subgroups());
    let of_kernels: BTreeSet<&str> = kernels.iter().map(|(name, _)| *name).collect();
    assert_eq!(of_kernels.len(), kernels.len(), "two kernels of one name");
    let folders = entries(root)
        .into_iter()
        .map(|p| stem(&p))
        .filter(|name| name != "lib" && (cfg!(feature = "program") || name != "probe"));
    let texts: Vec<_> = folders.flat_map(|name| files(&format!("{root}/{name}"))).collect();
    let of_files: BTreeSet<&str> = texts.iter().map(|(stem, _)| stem.as_str()).collect();
    assert_eq!(of_files, of_kernels);
    for (stem, text) in &texts {
        let (_, shader) = kernels.iter().find(|(name, _)| name == stem).unwrap();
        assert!(shader.source.ends_with(text), "kernel {stem} does not end with its file");
    }
    for (stem, text) in files(&format!("{root}/lib")) {
        let users =
            kernels.iter().chain(&with_subgroups).filter(|(_, s)| s.source.contains(&text)).count();
        assert!(users > 0 && !text.is_empty(), "no kernel includes lib/{stem}.wgsl");
    }
}

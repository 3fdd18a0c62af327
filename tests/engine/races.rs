//! No two invocations of a shader may store to the same address, and no store may write a single component of a vector
//! in shared memory. Needs no GPU.
//!
//! In WGSL's memory model, two stores to the same address are a race even if they store equal values, and a store to one
//! component counts as a store to the whole vector. The test analyses what the index of each store depends on. If it does
//! not depend on the invocation, all invocations store to the same address. The analysis does not find every race: `i / 2`
//! depends on the invocation and still collides. Atomic operations are exempt.

use std::collections::{BTreeMap, BTreeSet};

use naga::valid::{Capabilities, FunctionInfo, ModuleInfo, ValidationFlags, Validator};
use naga::{
    AddressSpace, Binding, Block, BuiltIn, Expression, Function, Handle, Literal, LocalVariable,
    Module, Statement, TypeInner,
};

use crate::shaders::{shaders, shaders_with_subgroups};

/// Bits for what a value depends on: the invocation within its workgroup, and the workgroup.
const LANE: u8 = 1;
const GROUP: u8 = 2;
/// Bit for a value that is the number of the invocation within its workgroup.
const IS_LANE: u8 = 4;

/// Kernels that are launched with a single workgroup.
const ALONE: [&str; 1] = ["verdict"];

/// The analysis of an entry point. Every function is analysed once for each set of dependencies of its arguments.
struct Analysis<'a> {
    module: &'a Module,
    info: &'a ModuleInfo,
    /// What the index of a store must depend on, in workgroup memory and in storage buffers.
    needs: [u8; 2],
    known: BTreeMap<(usize, Vec<u8>, u8), Outcome>,
}

/// What the return value of a function depends on, and the faults in it and in the functions that it calls.
#[derive(Clone, Default)]
struct Outcome {
    returned: u8,
    faults: BTreeSet<String>,
}

/// One pass over the statements of a function.
struct Walk<'f> {
    function: &'f Function,
    info: &'f FunctionInfo,
    arguments: Vec<u8>,
    locals: BTreeMap<Handle<LocalVariable>, u8>,
    /// Variables that hold conditions (naga stores `a && b` in one), and what they single out.
    conditions: BTreeMap<Handle<LocalVariable>, u8>,
    results: BTreeMap<Handle<Expression>, u8>,
    outcome: Outcome,
}

impl Analysis<'_> {
    /// Analyses a function that is called where `single` (an invocation, a workgroup) has been singled out.
    fn function(
        &mut self,
        number: usize,
        function: &Function,
        info: &FunctionInfo,
        arguments: Vec<u8>,
        single: u8,
    ) -> Outcome {
        let key = (number, arguments.clone(), single);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let mut walk = Walk {
            function,
            info,
            arguments,
            locals: BTreeMap::new(),
            conditions: BTreeMap::new(),
            results: BTreeMap::new(),
            outcome: Outcome::default(),
        };
        // A variable in a loop may depend on a store further down, so repeat until nothing changes.
        loop {
            let before = (walk.locals.clone(), walk.conditions.clone(), walk.outcome.returned);
            // Faults of the previous pass may be false, since the dependencies were incomplete.
            walk.outcome.faults.clear();
            self.block(&mut walk, &function.body, single);
            if before == (walk.locals.clone(), walk.conditions.clone(), walk.outcome.returned) {
                break;
            }
        }
        self.known.insert(key, walk.outcome.clone());
        walk.outcome
    }

    fn block(&mut self, walk: &mut Walk, block: &Block, single: u8) {
        for statement in block {
            match statement {
                Statement::Block(inner) => self.block(walk, inner, single),
                Statement::If { condition, accept, reject } => {
                    self.block(walk, accept, single | walk.singles_out(*condition));
                    self.block(walk, reject, single);
                }
                Statement::Switch { cases, .. } => {
                    cases.iter().for_each(|case| self.block(walk, &case.body, single));
                }
                Statement::Loop { body, continuing, .. } => {
                    self.block(walk, body, single);
                    self.block(walk, continuing, single);
                }
                Statement::Return { value: Some(value) } => {
                    walk.outcome.returned |= walk.of(*value);
                }
                Statement::Call { function, arguments, result } => {
                    let arguments = arguments.iter().map(|&a| walk.of(a)).collect();
                    let (number, callee) =
                        (function.index() + 1, &self.module.functions[*function]);
                    let info = &self.info[*function];
                    let outcome = self.function(number, callee, info, arguments, single);
                    walk.outcome.faults.extend(outcome.faults);
                    if let Some(result) = result {
                        walk.results.insert(*result, outcome.returned);
                    }
                }
                Statement::Store { pointer, value } => self.store(walk, *pointer, *value, single),
                _ => (),
            }
        }
    }

    fn store(
        &self,
        walk: &mut Walk,
        pointer: Handle<Expression>,
        value: Handle<Expression>,
        single: u8,
    ) {
        let (mut at, mut index, mut dynamic) = (pointer, 0, false);
        let root = loop {
            match walk.function.expressions[at] {
                Expression::Access { base, index: i } => {
                    (index, dynamic) = (index | walk.of(i), at == pointer);
                    at = base;
                }
                Expression::AccessIndex { base, .. } => at = base,
                ref root => break root,
            }
        };
        let parent = match walk.function.expressions[pointer] {
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => Some(base),
            _ => None,
        };
        if matches!(walk.info[pointer].ty.inner_with(&self.module.types), TypeInner::Pointer { base, .. }
            if matches!(self.module.types[*base].inner, TypeInner::Atomic(_)))
        {
            return;
        }
        let of_vector = parent.is_some_and(|base| self.is_vector(walk, base));
        match root {
            Expression::LocalVariable(local) => {
                if of_vector && dynamic {
                    walk.outcome
                        .faults
                        .insert("stores to a component that is chosen at run time".into());
                }
                *walk.locals.entry(*local).or_default() |= walk.of(value) | index;
                if walk.function.expressions[value] != Expression::Literal(Literal::Bool(false)) {
                    let singled = single | walk.singles_out(value);
                    *walk.conditions.entry(*local).or_insert(LANE | GROUP) &= singled;
                }
            }
            Expression::GlobalVariable(global) => {
                let variable = &self.module.global_variables[*global];
                let name = variable.name.as_deref().unwrap_or("?");
                let needs = self.needs[usize::from(variable.space != AddressSpace::WorkGroup)];
                if of_vector {
                    walk.outcome
                        .faults
                        .insert(format!("stores to one component of a vector of {name}"));
                }
                if needs & !(index | single) != 0 {
                    let what = if needs & LANE & !(index | single) != 0 {
                        "invocations"
                    } else {
                        "workgroups"
                    };
                    walk.outcome
                        .faults
                        .insert(format!("several {what} store to the same element of {name}"));
                }
            }
            _ => (),
        }
    }

    fn is_vector(&self, walk: &Walk, pointer: Handle<Expression>) -> bool {
        match walk.info[pointer].ty.inner_with(&self.module.types) {
            TypeInner::Pointer { base, .. } => {
                matches!(self.module.types[*base].inner, TypeInner::Vector { .. })
            }
            TypeInner::ValuePointer { size, .. } => size.is_some(),
            _ => false,
        }
    }
}

impl Walk<'_> {
    /// What a value depends on. Values that are read from memory depend on nothing, since their origin is unknown.
    fn of(&self, value: Handle<Expression>) -> u8 {
        let all = |parts: &[Handle<Expression>]| {
            parts.iter().fold(0, |sum, &part| sum | (self.of(part) & !IS_LANE))
        };
        match &self.function.expressions[value] {
            Expression::FunctionArgument(i) => self.arguments[*i as usize],
            Expression::Load { pointer } => self.loaded(*pointer),
            Expression::CallResult(_) => self.results.get(&value).copied().unwrap_or(0),
            Expression::Compose { components, .. } => all(components),
            Expression::Access { base, index } => all(&[*base, *index]),
            Expression::AccessIndex { base: x, .. }
            | Expression::Splat { value: x, .. }
            | Expression::Swizzle { vector: x, .. }
            | Expression::Unary { expr: x, .. }
            | Expression::As { expr: x, .. } => all(&[*x]),
            Expression::Binary { left, right, .. } => all(&[*left, *right]),
            Expression::Select { condition, accept, reject } => {
                all(&[*condition, *accept, *reject])
            }
            Expression::Math { arg, arg1, arg2, arg3, .. } => {
                let more: Vec<_> = [*arg1, *arg2, *arg3].into_iter().flatten().collect();
                all(&[*arg]) | all(&more)
            }
            _ => 0,
        }
    }

    fn loaded(&self, pointer: Handle<Expression>) -> u8 {
        match self.function.expressions[pointer] {
            Expression::LocalVariable(local) => {
                let initial = self.function.local_variables[local].init.map_or(0, |x| self.of(x));
                (self.locals.get(&local).copied().unwrap_or(0) | initial) & !IS_LANE
            }
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => {
                self.loaded(base)
            }
            _ => 0,
        }
    }

    /// What a condition singles out: `lane == 0u` holds in a single invocation of each workgroup.
    fn singles_out(&self, condition: Handle<Expression>) -> u8 {
        match self.function.expressions[condition] {
            Expression::Binary { op: naga::BinaryOperator::Equal, left, right } => {
                let (left, right) = (self.of(left), self.of(right));
                let one = (left & IS_LANE != 0 && right & LANE == 0)
                    || (right & IS_LANE != 0 && left & LANE == 0);
                if one { LANE } else { 0 }
            }
            Expression::Load { pointer } => match self.function.expressions[pointer] {
                Expression::LocalVariable(local) => {
                    self.conditions.get(&local).copied().unwrap_or(0)
                }
                _ => 0,
            },
            _ => 0,
        }
    }
}

/// Faults of all entry points.
fn races(source: &str, capabilities: Capabilities, alone: bool) -> Vec<String> {
    let module = naga::front::wgsl::parse_str(source).unwrap();
    let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module).unwrap();
    let mut all = Vec::new();
    for (number, entry) in module.entry_points.iter().enumerate() {
        let lanes = if entry.workgroup_size.iter().product::<u32>() > 1 { LANE } else { 0 };
        let groups = if alone { 0 } else { GROUP };
        let arguments = entry.function.arguments.iter().map(|argument| match argument.binding {
            Some(Binding::BuiltIn(BuiltIn::LocalInvocationIndex)) => LANE | IS_LANE,
            Some(Binding::BuiltIn(BuiltIn::LocalInvocationId)) => LANE,
            Some(Binding::BuiltIn(BuiltIn::GlobalInvocationId)) => LANE | GROUP,
            Some(Binding::BuiltIn(BuiltIn::WorkGroupId)) => GROUP,
            _ => 0,
        });
        let mut analysis = Analysis {
            module: &module,
            info: &info,
            needs: [lanes, lanes | groups],
            known: BTreeMap::new(),
        };
        let (function, own) = (&entry.function, info.get_entry_point(number));
        let outcome = analysis.function(0, function, own, arguments.collect(), 0);
        all.extend(outcome.faults.iter().map(|why| format!("{}: {why}", entry.name)));
    }
    all
}

#[test]
fn no_two_invocations_store_to_one_place() {
    let faults: Vec<String> = shaders()
        .into_iter()
        .chain(shaders_with_subgroups())
        .flat_map(|(name, shader)| {
            let found = races(&shader.source, shader.capabilities(), ALONE.contains(&name));
            found.into_iter().map(move |why| format!("{name}: {why}"))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

const TOY: &str = "
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;
    @group(0) @binding(3) var<storage, read_write> z: array<atomic<u32>>;
    @group(0) @binding(4) var<storage, read_write> w: array<vec4<f32>>;
    var<workgroup> tile: array<vec4<f32>, 256>;
    fn twice(i: u32) -> u32 { return 2u * i; }
    fn keep(i: u32, v: f32) { y[i] = v; }
    @compute @workgroup_size(256) fn toy(
        @builtin(workgroup_id) id: vec3<u32>,
        @builtin(local_invocation_index) lane: u32,
    ) {
        var sum = vec4<f32>(0.0);
        sum.x = x[lane];
        tile[lane] = sum;
        workgroupBarrier();
        for (var i = lane; i < 1024u; i += 256u) { keep(twice(id.x * 1024u + i), tile[0].x); }
        if lane == 0u { y[id.x] = 1.0; }
        if x[0] > 0.0 && lane == 0u { y[id.x] = 1.0; }
        if lane == 0u && x[0] > 0.0 { y[id.x] = 1.0; }
        if x[lane] > 0.0 { atomicStore(&z[0], 1u); }
    }";

#[test]
fn planted_races_are_seen() {
    assert_eq!(races(TOY, Capabilities::empty(), false), [""; 0]);
    for (from, to, why) in [
        (
            "tile[lane] = sum",
            "tile[0] = sum",
            "toy: several invocations store to the same element of tile",
        ),
        ("tile[lane] = sum", "tile[lane / 4u][lane % 4u] = 1.0", "toy: stores to one component"),
        (
            "tile[lane] = sum",
            "tile[lane].x = 1.0",
            "toy: stores to one component of a vector of tile",
        ),
        ("tile[lane] = sum", "w[256u * id.x + lane].x = 1.0", "toy: stores to one component"),
        ("sum.x", "sum[lane % 4u]", "toy: stores to a component that is chosen at run time"),
        (
            "twice(id.x * 1024u + i)",
            "twice(id.x)",
            "toy: several invocations store to the same element of y",
        ),
        ("twice(id.x * 1024u + i)", "i", "toy: several workgroups store to the same element of y"),
        ("twice(id.x * 1024u + i)", "u32(x[id.x * 256u + lane])", "toy: several invocations"),
        ("i = lane", "i = 0u", "toy: several invocations store to the same element of y"),
        ("if lane == 0u { y[id.x]", "if lane == 0u { y[0]", "toy: several workgroups store"),
        (
            "if lane == 0u { y",
            "if lane < 2u { y",
            "toy: several invocations store to the same element of y",
        ),
        (
            "if lane == 0u { y",
            "if lane / 2u == 0u { y",
            "toy: several invocations store to the same",
        ),
        (
            "> 0.0 && lane == 0u",
            "> 0.0 || lane == 0u",
            "toy: several invocations store to the same",
        ),
        (
            "atomicStore(&z[0], 1u)",
            "y[0] = 1.0",
            "toy: several invocations store to the same element of y",
        ),
    ] {
        assert!(TOY.contains(from), "{from}");
        let found = races(&TOY.replacen(from, to, 1), Capabilities::empty(), false);
        assert!(found.iter().any(|f| f.starts_with(why)), "{to}: {found:?}, not {why}");
    }
}

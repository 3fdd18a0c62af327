//! The engine for JavaScript, as plain functions on the memory that both share:
//!
//! 1. `reserve(n)` returns where JavaScript writes n bytes: a model file or a request.
//! 2. `load()` or `answer()` reads them and returns 1, or 0 if it failed.
//! 3. `output()` and `output_bytes()` tell where the answer is: floats of an `answer`, otherwise text (a model's kind, or
//!    the message of a failure).
//!
//! JavaScript provides `frame` and `panicked`.

#![allow(unsafe_code)] // Functions of JavaScript are foreign.

use std::cell::RefCell;

use super::{Engine, Request};

/// What lives between two calls.
#[derive(Default)]
struct Shared {
    engine: Engine,
    input: Vec<u8>,
    output: Vec<u8>,
}

thread_local! {
    static SHARED: RefCell<Shared> = RefCell::default();
}

#[cfg(target_family = "wasm")]
#[link(wasm_import_module = "page")]
unsafe extern "C" {
    /// Receives images on the way: finished pixels, the first float, and the number of floats.
    fn frame(done: usize, images: *const f32, len: usize);
    /// Receives the message of a panic, after which the engine is of no more use.
    fn panicked(text: *const u8, len: usize);
}

#[cfg(target_family = "wasm")]
fn hand_over(done: usize, images: &[f32]) {
    // SAFETY: JavaScript copies these floats and does not call back.
    unsafe { frame(done, images.as_ptr(), images.len()) }
}

#[cfg(not(target_family = "wasm"))]
fn hand_over(_: usize, _: &[f32]) {}

/// Prepares the engine; called once.
#[unsafe(no_mangle)]
pub extern "C" fn start() {
    #[cfg(target_family = "wasm")]
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        // SAFETY: JavaScript copies this text and does not call back.
        unsafe { panicked(text.as_ptr(), text.len()) }
    }));
    SHARED.with_borrow_mut(|shared| shared.output = Engine::instructions().into());
}

/// Room for `bytes` bytes of input.
#[unsafe(no_mangle)]
pub extern "C" fn reserve(bytes: usize) -> *mut u8 {
    SHARED.with_borrow_mut(|shared| {
        shared.input = vec![0; bytes];
        shared.input.as_mut_ptr()
    })
}

fn finish(shared: &mut Shared, result: Result<Vec<u8>, String>) -> u32 {
    shared.input = Vec::new();
    let ok = u32::from(result.is_ok());
    shared.output = result.unwrap_or_else(String::into_bytes);
    ok
}

/// Loads the model file in the input.
#[unsafe(no_mangle)]
pub extern "C" fn load() -> u32 {
    SHARED.with_borrow_mut(|shared| {
        let result = shared.engine.load(&shared.input).map(String::into_bytes);
        finish(shared, result)
    })
}

/// Answers the request in the input.
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> u32 {
    SHARED.with_borrow_mut(|shared| {
        let request = serde_json::from_slice::<Request>(&shared.input);
        let result = request
            .map_err(|e| format!("not a request: {e}"))
            .and_then(|request| shared.engine.answer(request, &mut hand_over))
            .map(|floats| floats.iter().flat_map(|x| x.to_le_bytes()).collect());
        finish(shared, result)
    })
}

/// Where the output is.
#[unsafe(no_mangle)]
pub extern "C" fn output() -> *const u8 {
    SHARED.with_borrow(|shared| shared.output.as_ptr())
}

/// Its length.
#[unsafe(no_mangle)]
pub extern "C" fn output_bytes() -> usize {
    SHARED.with_borrow(|shared| shared.output.len())
}

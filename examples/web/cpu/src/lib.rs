//! The engine for browsers without a GPU, as a WebAssembly module. Its interface is plain functions on shared memory.
//!
//! 1. `reserve(n)` returns the address where JavaScript writes n bytes: a model file or a request.
//! 2. `load()` or `answer()` reads them and returns 1, or 0 if it failed. `save()` needs no input.
//! 3. `output()` and `output_bytes()` give the address and length of the answer: floats after `answer()`, a file after
//!    `save()`, otherwise text (the kind of a model, or an error message).
//!
//! JavaScript provides `frame` and `panicked`.

#![allow(unsafe_code)] // JavaScript functions are foreign functions.

use std::cell::RefCell;

use pixelloom_web_engine::{Engine, Request};

/// State that is kept between calls.
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
    /// Receives partial images of `len` floats after `done` finished pixels.
    fn frame(done: usize, images: *const f32, len: usize);
    /// Receives the message of a panic, after which the engine can no longer be used.
    fn panicked(text: *const u8, len: usize);
}

#[cfg(target_family = "wasm")]
fn hand_over(done: usize, images: &[f32]) {
    // SAFETY: JavaScript copies these floats and does not call back.
    unsafe { frame(done, images.as_ptr(), images.len()) }
}

#[cfg(not(target_family = "wasm"))]
fn hand_over(_: usize, _: &[f32]) {}

/// Prepares the engine. JavaScript calls it once.
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

/// Allocates `bytes` bytes of input and returns their address.
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

/// Loads the file in the input. Returns 1, or 0 if it failed.
#[unsafe(no_mangle)]
pub extern "C" fn load() -> u32 {
    SHARED.with_borrow_mut(|shared| {
        let result = shared.engine.load(&shared.input).map(String::into_bytes);
        finish(shared, result)
    })
}

/// Answers the request in the input. Returns 1, or 0 if it failed.
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

/// Writes the training as a file. Returns 1, or 0 if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn save() -> u32 {
    SHARED.with_borrow_mut(|shared| {
        let result = shared.engine.save();
        finish(shared, result)
    })
}

/// The address of the output.
#[unsafe(no_mangle)]
pub extern "C" fn output() -> *const u8 {
    SHARED.with_borrow(|shared| shared.output.as_ptr())
}

/// The length of the output in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn output_bytes() -> usize {
    SHARED.with_borrow(|shared| shared.output.len())
}

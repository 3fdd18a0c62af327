//! Answers the page's requests natively: `native REQUESTS.json MODEL.safetensors...` reads a list of requests and prints
//! the list of answers, each a list of numbers.

use std::process::ExitCode;

use pixelloom_web_engine::{Engine, Request};

fn run() -> Result<String, String> {
    let mut arguments = std::env::args().skip(1);
    let requests = arguments.next().ok_or("usage: native REQUESTS.json MODEL.safetensors...")?;
    let mut engine = Engine::default();
    let read = |path: &str| std::fs::read(path).map_err(|e| format!("{path}: {e}"));
    for model in arguments {
        engine.load(&read(&model)?).map_err(|e| format!("{model}: {e}"))?;
    }
    let list: Vec<Request> =
        serde_json::from_slice(&read(&requests)?).map_err(|e| format!("{requests}: {e}"))?;
    let answers: Result<Vec<Vec<f32>>, String> =
        list.into_iter().map(|request| engine.answer(request, &mut |_, _| {})).collect();
    serde_json::to_string(&answers?).map_err(|e| e.to_string())
}

fn main() -> ExitCode {
    match run() {
        Ok(answers) => {
            println!("{answers}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

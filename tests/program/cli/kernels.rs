//! `pixelloom kernels`.

use serde_json::Value;

use super::{Place, stderr};

fn object(place: &Place, arguments: &str) -> Value {
    serde_json::from_str(&place.succeed(&format!("kernels {arguments} --json"))).expect("an object")
}

#[test]
fn test_compares_with_the_reference() {
    let place = Place::new();
    let said = place.succeed("kernels test --op reduce --device cpu");
    assert!(said.contains("| reduce "), "{said}");
    let line = said.lines().last().expect("a line");
    let count = line.strip_prefix("agreement with the reference: ").expect(&said);
    let (agree, all) = count.split_once(" cases").expect(&said).0.split_once(" of ").expect(&said);
    assert!(agree == all && agree.parse::<usize>().expect("a number") > 1, "{said}");
    let object = object(&place, "test --op reduce --device cpu");
    let distances = object["distances"].as_array().expect("a list");
    assert!(distances.iter().any(|one| one["what"] == "output 0"));
    assert!(distances.iter().any(|one| one["what"] == "gradient of x"), "{distances:?}");
    for one in distances {
        assert!(one["distance"].as_f64() <= one["limit"].as_f64(), "{one}");
    }
    let message = place.fail("kernels test --op gemm --device cpu", 3);
    assert!(message.contains("no operation \"gemm\"; the operations are "), "{message}");
    assert!(message.contains("lstm_scan, ") && message.contains("matmul, "), "{message}");
}

#[test]
fn grad_names_the_worst_element() {
    let place = Place::new();
    let said = place.succeed("kernels grad --op matmul --device cpu");
    assert!(said.starts_with("matmul ") && said.contains(" cases, worst error "), "{said}");
    let object = object(&place, "grad --op matmul --device cpu");
    let gradients = object["gradients"].as_array().expect("a list");
    assert!(gradients.len() > 2);
    for one in gradients {
        assert!(one["error"].as_f64().expect("a number") < 1e-3, "{one}");
        assert!(one["index"].as_array().is_some_and(|index| !index.is_empty()), "{one}");
        assert!(one["input"].is_string() && one["sizes"].is_string(), "{one}");
    }
}

/// No time is judged here: the baselines say a thousandth and a thousand times of what was measured.
#[test]
fn perf_fails_where_a_case_is_slower_than_its_baseline() {
    let place = Place::new();
    let perf = "perf --op fold --seconds 0.002 --device cpu --threads 1";
    let measured = object(&place, perf);
    let speeds = measured["speeds"].as_array().expect("a list");
    assert!(speeds.len() > 1, "{measured}");
    for speed in speeds {
        assert!(speed["seconds"].as_f64() > Some(0.0) && speed["gflops"].is_number(), "{speed}");
    }
    assert!(measured["busy"].is_number() && measured["slower"].as_array().unwrap().is_empty());
    let scaled = |factor: f64| {
        let mut object = measured.clone();
        for speed in object["speeds"].as_array_mut().expect("a list") {
            for pointer in ["/seconds", "/quartiles/0", "/quartiles/1"] {
                let seconds = speed.pointer_mut(pointer).expect("it is there");
                *seconds = (factor * seconds.as_f64().expect("a number")).into();
            }
        }
        std::fs::write(place.path("base.json"), object.to_string()).expect("written");
    };
    let compared = format!("kernels {perf} --baseline base.json");
    scaled(1000.0);
    let said = place.succeed(&compared);
    assert!(said.contains(" change |") && said.contains(" -99."), "{said}");
    scaled(0.001);
    let message = place.fail(&compared, 9);
    let all = format!("{0} of {0} cases are slower than in base.json", speeds.len());
    assert!(message.contains(&all) && message.contains("the first is fold "), "{message}");
    let output = place.run(&format!("{compared} --json"));
    let report: Value = serde_json::from_slice(&output.stdout).expect("the object is printed");
    assert_eq!(
        report["slower"].as_array().map(Vec::len),
        Some(speeds.len()),
        "{}",
        stderr(&output)
    );
    // A case that the baseline does not have is new.
    let said = place.succeed(&compared.replace("fold", "random"));
    assert!(said.contains(" new |"), "{said}");
    let message = place.fail(&compared.replace("--threads 1", "--threads 2"), 3);
    assert!(message.contains("1 thread\", and this is \"cpu, "), "{message}");
    std::fs::write(place.path("base.json"), "{}").expect("written");
    assert!(place.fail(&compared, 4).contains("a baseline is what"));
}

//! The profile of a training run, and `pixelloom bench`.

use super::{Place, TINY};

/// The cells of the row that starts with `name`.
#[track_caller]
fn row(text: &str, name: &str) -> Vec<String> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect()
    };
    let found = rows.map(cells).find(|cells| cells[0] == name);
    found.unwrap_or_else(|| panic!("no row {name}: {text}"))
}

fn number(cell: &str) -> f64 {
    cell.trim_end_matches(" %").parse().unwrap_or_else(|_| panic!("{cell} is no number"))
}

#[test]
fn a_profile_is_a_table_by_kernel_and_changes_nothing() {
    let place = Place::new();
    let plain = place.succeed(&format!("{TINY} --name a"));
    let said = place.succeed(&format!("{TINY} --name b --profile"));
    place.assert_equal_runs("runs/a", "runs/b");
    assert!(!plain.contains('|') && said.ends_with(&plain), "{said}");
    let all = row(&said, "(total)");
    assert_eq!(number(&all[3]), 100.0);
    let mut shares = number(&row(&said, "(outside kernels)")[3]);
    // Calls per step, without those of evaluations.
    for (kernel, calls) in [("adam", 10.0), ("bernoulli", 1.0), ("bernoulli_gradient", 1.0)] {
        assert_eq!(number(&row(&said, kernel)[1]), calls, "{kernel}: {said}");
    }
    // Rows of shapes are indented.
    let of_kernel =
        |l: &&str| l.starts_with("| ") && !["| (", "|   "].iter().any(|s| l.starts_with(s));
    let kernels = said.lines().filter(of_kernel);
    for line in kernels.skip(2) {
        let cells = row(&said, line.trim_matches('|').split('|').next().unwrap().trim());
        shares += number(&cells[3]);
        assert!(number(&cells[1]) > 0.0 && number(&cells[5]) > 0.0, "{line}");
    }
    assert!((shares - 100.0).abs() < 2.0, "{shares}: {said}");
    // The products of the encoder and the decoder are told apart.
    let json: serde_json::Value =
        serde_json::from_slice(&place.read("runs/b/profile.json")).expect("an object");
    let shapes = json["shapes"]["matmul"].as_object().expect("shapes");
    assert!(shapes.contains_key("60x784, 8x784, 8 -> 60x8"), "{shapes:?}");
    let calls = |sum: &serde_json::Value| sum["calls"].as_u64().expect("a number");
    let sum: u64 = shapes.values().map(calls).sum();
    assert_eq!(sum, calls(&json["kernels"]["matmul"]));
}

#[test]
fn a_bench_names_the_machine_and_measures_what_is_asked_for() {
    let place = Place::new();
    let said = place.succeed("bench --only vae --seconds 0.01 --device cpu --threads 1");
    assert!(said.starts_with("cpu, ") && said.contains(" 1 thread: "), "{said}");
    let cells = row(&said, "vae-mnist b100 h500 z20");
    assert_eq!(cells[1], "train");
    let [images, ms, gflops, share] = [2, 3, 4, 5].map(|i| number(&cells[i]));
    assert!(images > 0.0 && gflops > 0.0 && share > 0.0, "{said}");
    // The peak is printed as an integer.
    let peak = said.split_once(" GFLOP/s of").unwrap().0.rsplit_once(' ').unwrap().1;
    let (peak, of) = (number(peak), 100.0 * gflops / number(peak));
    assert!((share / of - 1.0).abs() < 0.01 + 0.5 / peak, "{of}: {said}");
    assert!((images * ms / 1e5 - 1.0).abs() < 0.02, "{said}");
    // The second table: on one thread, the step and the products alone; the shares of the step add up to one.
    let rest = row(&said[said.find("Products alone").expect(&said)..], "vae-mnist b100 h500 z20");
    assert_eq!(rest[1], "1", "{said}");
    let [step, alone, quotient] = [2, 4, 5].map(|i| number(&rest[i]));
    assert!(
        (step / ms - 1.0).abs() < 0.02 && (quotient * alone / step - 1.0).abs() < 0.02,
        "{said}"
    );
    let memory = rest[10].split(" %").next().expect("a share");
    let empty = |cell: &String| if cell.is_empty() { 0.0 } else { number(cell) };
    let shares = [6, 7, 8, 9, 11].iter().map(|&i| empty(&rest[i])).sum::<f64>() + number(memory);
    assert!((shares - 100.0).abs() < 1.0, "{shares}: {said}");
    assert!(place.fail("bench --only gan", 3).contains("the workloads are vae-mnist"));
}

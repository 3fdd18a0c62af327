//! The KL of each glimpse of a DRAW model, from its last evaluation.

use super::html::section as html_section;
use super::interactive::figure;
use super::plots::glimpse_plot;
use super::read::{self, Run};
use crate::run::metrics::KL_PER_GLIMPSE;

/// A section with the mean KL of each glimpse on the test images, or on the split that was scored last; may be empty.
pub fn section(run: &Run) -> String {
    let evals = run.evals();
    // Evaluations are ordered train, valid, test; prefer the last.
    let line = evals.iter().rev().find(|line| line[KL_PER_GLIMPSE].is_array());
    let Some(line) = line else { return String::new() };
    let kl = line[KL_PER_GLIMPSE].as_array().into_iter().flatten();
    let kl: Vec<f64> = kl.filter_map(|kl| kl.as_f64()).collect();
    let what = format!("{}, {}", read::what(line), run.device());
    let caption = format!(
        "Mean KL(q(z) | N(0, I)) of each glimpse in nats/image: the information about the image that it \
         passes to the decoder. Total: {:.2} nats. {what}.",
        kl.iter().sum::<f64>()
    );
    html_section("Glimpses", &figure(&glimpse_plot(&kl, &what), &caption))
}

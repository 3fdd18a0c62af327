//! What the glimpses of a DRAW model tell, from its last evaluation.

use super::html::{figure, section as html_section};
use super::plots::{curve, glimpse_plot};
use super::read::{self, Run};
use crate::run::metrics::KL_PER_GLIMPSE;

/// The mean KL of each glimpse on the test images, or what was scored last; a section, or nothing.
pub fn section(run: &Run) -> String {
    let evals = run.evals();
    // Test images come last, the training images stand for least.
    let line = evals.iter().rev().find(|line| line[KL_PER_GLIMPSE].is_array());
    let Some(line) = line else { return String::new() };
    let kl = line[KL_PER_GLIMPSE].as_array().into_iter().flatten();
    let kl: Vec<f64> = kl.filter_map(|kl| kl.as_f64()).collect();
    let what = format!("{}, {}", read::what(line), run.device());
    let caption = format!(
        "Mean KL(q(z) | N(0, I)) of each glimpse in nats/image: what it tells the decoder of the \
         image. In all {:.2} nats. {what}.",
        kl.iter().sum::<f64>()
    );
    html_section("Glimpses", &figure(&curve(&glimpse_plot(&kl, &what)), &caption))
}

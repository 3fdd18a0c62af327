//! `pixelloom gpu-check` without a GPU to check. A complete check takes a software driver a minute, so it is not run
//! here; `.ci/run` runs it.

use super::Place;

#[test]
fn no_adapter_is_an_error_that_lists_the_devices() {
    let place = Place::new();
    let output = place
        .command("gpu-check")
        // The Vulkan loader finds no driver, whichever of the two variables it reads.
        .env("VK_DRIVER_FILES", "/nowhere.json")
        .env("VK_ICD_FILENAMES", "/nowhere.json")
        .env("WGPU_BACKEND", "vulkan")
        .output()
        .expect("the program starts");
    let (said, message) = (String::from_utf8_lossy(&output.stdout), super::stderr(&output));
    assert_eq!(output.status.code(), Some(6), "{message}");
    assert!(said.starts_with(concat!("pixelloom ", env!("CARGO_PKG_VERSION"))), "{said}");
    if cfg!(feature = "gpu") {
        assert!(said.contains("no GPU with a driver"), "{said}");
        assert!(
            message.contains("there is no device \"gpu:0\"; available devices: cpu"),
            "{message}"
        );
    } else {
        assert!(message.contains("built without GPU support"), "{message}");
    }
}

#[test]
fn a_device_that_is_no_gpu_is_refused() {
    let message = Place::new().fail("gpu-check --device cpu", 6);
    assert!(
        message.contains("\"cpu\" is not a GPU, and gpu-check checks GPUs; name an adapter"),
        "{message}"
    );
}

/// Without a display, Mesa's drivers print an error of their own when they are opened. With the layer that prints it, this
/// test fails if the program does not turn it off.
#[test]
fn no_line_of_mesa_in_between() {
    let place = Place::new();
    let mut command = place.command("train vae --dry-run");
    for name in ["DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "NODEVICE_SELECT"] {
        command.env_remove(name);
    }
    let output = command.output().expect("the program starts");
    assert!(output.status.success());
    let message = super::stderr(&output);
    assert!(message.contains("device: ") && !message.contains("XDG_RUNTIME_DIR"), "{message}");
}

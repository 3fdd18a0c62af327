//! Reports in a real browser, if one is installed: pages in frames as wide as a phone and as a screen, measured by a
//! script outside the frames. The pages themselves run no script.

use std::process::Command;

use serde_json::Value;

use super::{Place, TINY};

/// Widths of the frames, in pixels.
const WIDTHS: [u64; 2] = [400, 1200];

/// Measures every frame once it is loaded.
const MEASURE: &str = r#"
addEventListener("load", () => {
  const found = [];
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, root = page.documentElement;
    let broken = 0;
    for (const image of page.images) {
      if (!image.complete || !(image.naturalWidth > 0) || !image.alt) { broken += 1; continue; }
      // Drawn, it must show more than one colour.
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      const pixels = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
      if (pixels.every(pixel => pixel === pixels[0])) broken += 1;
    }
    const plots = [...page.querySelectorAll("svg.curve")].map(p => p.getBoundingClientRect());
    const style = frame.contentWindow.getComputedStyle(page.body);
    found.push({
      title: page.title,
      width: root.clientWidth,
      overflow: root.scrollWidth - root.clientWidth,
      pictures: page.images.length,
      broken,
      plots: plots.length,
      flat: plots.filter(p => !(p.width > 300 && p.height > 150)).length,
      headings: [...page.querySelectorAll("h1, h2, h3")].map(h => h.tagName + " " + h.textContent),
      loaded: frame.contentWindow.performance.getEntriesByType("resource").map(e => e.name),
      colours: [style.color, style.backgroundColor],
    });
  }
  const end = document.createElement("pre");
  end.textContent = "FOUND" + JSON.stringify(found) + "END";
  document.body.append(end);
});
"#;

/// The browser's measurements of the pages, each in a frame of each width, and its console output; `None` without a
/// browser.
fn look(place: &Place, pages: &[String], dark: bool) -> Option<(Vec<Value>, Vec<String>)> {
    let found = Command::new("chromium").arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        println!("skipped: there is no chromium on PATH");
        return None;
    }
    let mut outer = String::from("<!DOCTYPE html><meta charset=\"utf-8\"><title>frames</title>\n");
    for page in pages {
        for width in WIDTHS {
            let page = page.replace('&', "&amp;").replace('"', "&quot;");
            outer += &format!(
                "<iframe style=\"width:{width}px;height:900px;border:0\" srcdoc=\"{page}\"></iframe>\n"
            );
        }
    }
    outer += &format!("<script>{MEASURE}</script>\n");
    std::fs::write(place.path("frames.html"), outer).expect("written");
    let scheme = if dark { 0 } else { 1 };
    let output = Command::new("chromium")
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
        .args(["--no-first-run", "--disable-background-networking", "--enable-logging=stderr"])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000"])
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .arg(format!("--user-data-dir={}", place.path("profile").display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", place.path("frames.html").display()))
        .output()
        .expect("the browser starts");
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), super::stderr(&output));
    assert!(output.status.success(), "{log}");
    let found = dom.rsplit_once("FOUND").and_then(|(_, rest)| rest.split_once("END"));
    let found = found.expect("the script ran to its end").0;
    let found = found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let found: Vec<Value> = serde_json::from_str(&found).expect("JSON");
    assert_eq!(found.len(), pages.len() * WIDTHS.len());
    let console = log.lines().filter(|line| line.contains("CONSOLE")).map(String::from).collect();
    Some((found, console))
}

/// The problems of a page in a frame of this width.
fn faults(page: &Value, width: u64) -> Vec<&'static str> {
    let headings: Vec<&str> =
        page["headings"].as_array().expect("headings").iter().filter_map(Value::as_str).collect();
    let firsts = headings.iter().filter(|heading| heading.starts_with("H1 ")).count();
    let checks = [
        (page["width"] == width, "another width"),
        (page["overflow"] == 0, "wider than the window"),
        (page["broken"] == 0, "a picture that is not decoded or has no words"),
        (page["flat"] == 0, "a plot that is not seen"),
        (page["loaded"].as_array().is_some_and(Vec::is_empty), "something is loaded"),
        (page["colours"][0] != page["colours"][1], "ink like paper"),
        (firsts == 1 && headings[0].starts_with("H1 "), "not one heading above all"),
    ];
    checks.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
}

#[test]
fn a_browser_shows_reports_on_a_phone_and_on_a_screen() {
    let place = Place::new();
    let plant = |body: &str| {
        let body = format!("<title>planted</title><h1>planted</h1>{body}");
        vec![format!("<!DOCTYPE html><html><body>{body}</body></html>")]
    };
    let wide =
        "<div style=\"width:1300px\">wide</div><img alt=\"\" src=\"data:image/png;base64,AAAA\">";
    let remote = "<img alt=\"elsewhere\" src=\"http://pictures.invalid/a.png\">";
    let planted = [plant(wide), plant(remote)].concat();
    let Some((seen, _)) = look(&place, &planted, false) else { return };
    assert_eq!(
        faults(&seen[1], 1200),
        ["wider than the window", "a picture that is not decoded or has no words"]
    );
    assert!(faults(&seen[2], 400).contains(&"something is loaded"), "{seen:?}");

    place.succeed(&format!("{TINY} --name a"));
    place.succeed(&format!("{} --name b", TINY.replace("--hidden 8", "--hidden 9")));
    let small =
        "--device cpu --epochs 2 --eval-every 1 --batch 50 --log-every 1 --set data.limit=100";
    place.succeed(&format!("train pixelcnn {small} --layers 1 --hidden 6 --name pixel"));
    place.succeed(&format!(
        "train draw {small} --hidden 8 --latent 3 --glimpses 3 --set model.read=2 --name draw"
    ));
    place.succeed("report a b draw");
    let page = |file: &str| String::from_utf8(place.read(file)).expect("text");
    // A report forbids the browser to load anything, which the console reports.
    let planted = page("runs/a/report.html").replace("<h1>", &format!("{remote}<h1>"));
    let (seen, console) = look(&place, &[planted], false).expect("a browser");
    assert!(seen[0]["broken"] == 1 && console.iter().all(|line| line.contains("pictures.invalid")));
    assert!(!console.is_empty(), "{seen:?}");
    let pages: Vec<String> =
        ["runs/a/report.html", "runs/pixel/report.html", "runs/draw/report.html", "compare.html"]
            .map(page)
            .into();
    for dark in [false, true] {
        let (seen, console) = look(&place, &pages, dark).expect("a browser");
        assert_eq!(console, [""; 0]);
        for (at, page) in seen.iter().enumerate() {
            assert_eq!(faults(page, WIDTHS[at % 2]), [""; 0], "{page}");
            assert_eq!(page["colours"][1] == "rgb(255, 255, 255)", !dark, "{page}");
        }
        let titles: Vec<&str> =
            seen.iter().step_by(2).filter_map(|page| page["title"].as_str()).collect();
        assert_eq!(
            titles,
            [
                "a: digits – pixelloom",
                "pixel: digits-pixelcnn – pixelloom",
                "draw: digits-draw – pixelloom",
                "Runs compared – pixelloom"
            ]
        );
        for (page, parts, pictures, plots) in [
            (
                0,
                &["Samples over time", "Manifold", "Reconstructions", "Parts of the bound"][..],
                5,
                4,
            ),
            (2, &["Samples over time", "Completions"], 3, 2),
            (4, &["Glimpses", "Canvases", "Reading", "Reconstructions", "Samples over time"], 8, 5),
            (6, &["Samples", "Settings that differ", "Parts of the bound"], 3, 3),
        ] {
            let page = &seen[page];
            assert_eq!(
                (&page["pictures"], &page["plots"]),
                (&pictures.into(), &plots.into()),
                "{page}"
            );
            for part in parts {
                let heading = Value::from(format!("H2 {part}"));
                assert!(
                    page["headings"].as_array().expect("headings").contains(&heading),
                    "{page}"
                );
            }
        }
    }
}

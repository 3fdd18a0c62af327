//! Building blocks of a page: frame and style, tables, figures, and escaping.

use super::interactive::{SCRIPT, policy};
use crate::output::html_generator;
use crate::text;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1f2328;--soft:#59636e;--line:#d1d9e0;--paper:#fff;--shade:#f6f8fa}
@media screen and (prefers-color-scheme:dark){
:root{--ink:#e6e6e6;--soft:#9aa4ae;--line:#3a4149;--paper:#16191d;--shade:#20252b}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
main,footer{max-width:62rem;margin:0 auto;padding:1rem 1.25rem}
h1{font-size:1.7rem;line-height:1.25;margin:1rem 0 .5rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line);padding-bottom:.2rem}
figure{margin:1rem 0}
figcaption,footer{color:var(--soft);font-size:.875rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem 1.2rem .3rem 0;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
th{font-weight:600}
.text{text-align:left}td:first-child{min-width:9rem}
.row{display:flex;flex-wrap:wrap;gap:.25rem 1.5rem;align-items:flex-start}
.row figure{margin:.5rem 0;max-width:100%}
img{display:block;max-width:100%;height:auto}
.row.time figure{width:18.5rem}
main .curve{width:100%;min-width:34rem}
.facts{display:flex;flex-wrap:wrap;gap:.5rem;margin:1rem 0}
.facts div{background:var(--shade);border:1px solid var(--line);border-radius:6px;padding:.4rem .9rem}
.facts dt{color:var(--soft);font-size:.8rem}.facts dd{margin:0;font-size:1.15rem;font-variant-numeric:tabular-nums}
pre{background:var(--shade);border:1px solid var(--line);border-radius:6px;padding:.75rem;overflow-x:auto;font-size:.85rem;line-height:1.4}
.note{border-left:4px solid #d55e00;padding-left:.75rem}
.controls,.legend{display:flex;flex-wrap:wrap;gap:.35rem 1rem;align-items:center;font-size:.875rem;margin:.25rem 0}
.controls button,.legend button{font:inherit;color:inherit;background:none;border:1px solid var(--line);border-radius:4px;
padding:.1rem .5rem;cursor:pointer}
.legend button svg{vertical-align:middle;margin-right:.4rem}.legend button[aria-pressed=false]{opacity:.4;text-decoration:line-through}
.plot{width:100%;min-width:34rem;touch-action:pan-y;cursor:crosshair}.plot text{font-size:13px;fill:currentColor}
.plot .grid{stroke:currentColor;stroke-opacity:.13}.plot .drag{fill:currentColor;fill-opacity:.12}
.readout{display:block;min-height:1.5em;font-size:.875rem;color:var(--soft);font-variant-numeric:tabular-nums}
main img[role=button]{cursor:zoom-in}dialog{border:0;padding:.5rem;background:var(--paper);max-width:100vw;max-height:100vh}
dialog img{image-rendering:pixelated;cursor:zoom-out;max-width:none}
@media print{.controls,.readout{display:none}body{font-size:11pt}main,footer{max-width:none;padding:0}
figure,tr{break-inside:avoid}.row.time figure{width:30%}h2{break-after:avoid}pre{white-space:pre-wrap;overflow-wrap:anywhere}}
";

/// Escapes text for HTML and XML content and attributes.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A whole page; `title` is text, `body` is HTML. It loads nothing, and runs nothing but the script of its plots.
pub fn page(title: &str, body: &str) -> String {
    let policy = policy();
    let generator = html_generator();
    // Control characters can only come from names and texts in files.
    text::lines(&format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         {generator}{0}\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <title>{1} – pixelloom</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <main>\n{body}</main>\n<footer>Written by pixelloom {0}.</footer>\n\
         <script>{SCRIPT}</script>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        escape(title)
    ))
}

/// A part of a page; `title` is text, `body` is HTML.
pub fn section(title: &str, body: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n{body}</section>\n", escape(title))
}

/// A figure of an SVG or an image element; `caption` is text.
pub fn figure(element: &str, caption: &str) -> String {
    format!(
        "<figure>\n<div class=\"scroll\">{element}</div>\n<figcaption>{}</figcaption>\n</figure>\n",
        escape(caption)
    )
}

/// Names and values side by side; all of them are text.
pub fn facts(known: &[(String, String)]) -> String {
    let fact = |(name, value): &(String, String)| {
        format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value))
    };
    format!("<dl class=\"facts\">\n{}</dl>\n", known.iter().map(fact).collect::<String>())
}

/// A table below its caption; all cells are text. Columns in which every cell starts with a number or is a dash are
/// right-aligned, others left-aligned.
pub fn table(caption: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    let starts_number =
        |cell: &String| cell.starts_with(|c: char| c.is_ascii_digit() || "-–".contains(c));
    let class: Vec<&str> = (0..head.len())
        .map(|column| {
            let number = rows.iter().all(|row| starts_number(&row[column]));
            if number { "" } else { " class=\"text\"" }
        })
        .collect();
    let cells = head.iter().zip(&class);
    let head: String = cells
        .map(|(name, class)| format!("<th scope=\"col\"{class}>{}</th>", escape(name)))
        .collect();
    let row = |cells: &Vec<String>| {
        let cells = cells.iter().zip(&class);
        let cells: String =
            cells.map(|(cell, class)| format!("<td{class}>{}</td>", escape(cell))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<figure>\n<figcaption>{}</figcaption>\n<div class=\"scroll\">\n<table>\n\
         <thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n</figure>\n",
        escape(caption)
    )
}

/// Seconds as "2 h 05 min", "3 min 07 s" or "12.3 s".
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

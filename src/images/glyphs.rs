//! Numbers in pictures: digits, `e` and `-` of 3 x 5 pixels, drawn twice as large.

/// Rows of a glyph from the top, each of three bits, the left pixel the highest.
const GLYPHS: [(char, [u8; 5]); 12] = [
    ('0', [7, 5, 5, 5, 7]),
    ('1', [2, 6, 2, 2, 7]),
    ('2', [7, 1, 7, 4, 7]),
    ('3', [7, 1, 7, 1, 7]),
    ('4', [5, 5, 7, 1, 1]),
    ('5', [7, 4, 7, 1, 7]),
    ('6', [7, 4, 7, 5, 7]),
    ('7', [7, 1, 1, 1, 1]),
    ('8', [7, 5, 7, 5, 7]),
    ('9', [7, 5, 7, 1, 7]),
    ('e', [7, 5, 7, 4, 7]),
    ('-', [0, 0, 7, 0, 0]),
];
/// Pixels of a picture per pixel of a glyph.
const ZOOM: usize = 2;

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    4 * ZOOM * text.chars().count()
}

/// The pixels (row, column) of a text; characters without a glyph are left blank.
pub fn pixels(text: &str) -> Vec<(usize, usize)> {
    let mut pixels = Vec::new();
    for (at, letter) in text.chars().enumerate() {
        let Some((_, rows)) = GLYPHS.iter().find(|(known, _)| *known == letter) else { continue };
        for (row, column) in (0..5 * ZOOM).flat_map(|row| (0..3 * ZOOM).map(move |c| (row, c))) {
            if rows[row / ZOOM] >> (2 - column / ZOOM) & 1 == 1 {
                pixels.push((row, 4 * ZOOM * at + column));
            }
        }
    }
    pixels
}

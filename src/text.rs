//! Makes text from files and users safe for where it is shown: a terminal, a page, a shell.

/// Whether a terminal may interpret this character instead of drawing it: control characters (C0, DEL,
/// C1), line and paragraph separators, and the marks that override the direction of text.
pub fn is_control(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` on one line: line breaks and tabs become spaces, other control characters become escapes such as
/// `\u{1b}`.
pub fn line(text: &str) -> String {
    escaped(text, |letter| matches!(letter, '\n' | '\r' | '\t').then_some(' '))
}

/// `text` with line breaks and tabs kept; other control characters become escapes.
pub fn lines(text: &str) -> String {
    escaped(&text.replace("\r\n", "\n"), |letter| matches!(letter, '\n' | '\t').then_some(letter))
}

/// `text` with every character replaced by what `kept` returns for it, or else escaped if it is a control character.
fn escaped(text: &str, kept: impl Fn(char) -> Option<char>) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match kept(letter) {
            Some(letter) => safe.push(letter),
            None if is_control(letter) => safe.extend(letter.escape_unicode()),
            None => safe.push(letter),
        }
    }
    safe
}

/// JSON text with every control character in its strings escaped. JSON itself requires this only below U+0020.
pub fn json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' => safe.push(letter),
            letter if is_control(letter) => safe += &format!("\\u{:04x}", u32::from(letter)),
            letter => safe.push(letter),
        }
    }
    safe
}

/// `bytes` as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A word of a command, quoted for a shell: in quotes if it has characters that are special to the shell, in `$'...'`
/// with escapes if it has control characters.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    if !word.chars().any(is_control) {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let mut quoted = String::from("$'");
    for letter in word.chars() {
        match letter {
            '\\' | '\'' => quoted.extend(['\\', letter]),
            letter if is_control(letter) => {
                let bytes = letter.to_string().into_bytes();
                quoted.extend(bytes.iter().map(|byte| format!("\\x{byte:02x}")));
            }
            letter => quoted.push(letter),
        }
    }
    quoted + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Colours, a carriage return that hides the text before it, C1, a reversed file name, separators.
    const HOSTILE: &str = "a\u{1b}[31m\rb\u{9b}2J\u{202e}gnp.exe\u{2066}\u{2028}\u{7f}é";
    const ESCAPED: &str = r"\u{9b}2J\u{202e}gnp.exe\u{2066}\u{2028}\u{7f}é";

    #[test]
    fn control_characters_are_shown_as_escapes() {
        assert_eq!(line(HOSTILE), format!(r"a\u{{1b}}[31m b{ESCAPED}"));
        assert_eq!(lines(HOSTILE), format!(r"a\u{{1b}}[31m\u{{d}}b{ESCAPED}"));
        let table = "name\t1\n名前\t2 ü ü 👩‍🔬\n";
        assert_eq!(lines(table), table, "tables and other scripts stay");
        assert_eq!(lines("a\r\nb"), "a\nb");
        assert_eq!(line("a\tb\r\nc"), "a b  c");
    }

    #[test]
    fn json_stays_json() {
        let value = serde_json::json!({ "name": HOSTILE });
        let text = json(&format!("{value:#}"));
        assert!(!text.chars().any(|c| c != '\n' && is_control(c)), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_shell_reads_back_the_word() {
        assert_eq!(shell_word("runs/a-1.png"), "runs/a-1.png");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word("a\n$(b)\\'"), r"$'a\x0a$(b)\\\''");
        let bash = |word: &str| {
            let print = format!("printf %s {}", shell_word(word));
            std::process::Command::new("bash").args(["-c", &print]).output()
        };
        for word in [HOSTILE, "a'b\"$(c)`d`!e;f", "-n \n'\\"] {
            // Skipped on systems without bash.
            let Ok(output) = bash(word) else { return };
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}

//! The file of tiles that `pixelloom tune` measured. An entry holds for exactly one adapter with one driver and one
//! version of this program; entries for others are kept as they are.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::device::Device;
use crate::error::{Error, Result};
use crate::output::{FileKind, Output, tiles_mark};
use crate::tiles::Tiles;

type Parsed<T> = std::result::Result<T, String>;

/// What an entry holds for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// Name of the adapter.
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// The driver and its version.
    pub driver: String,
    /// The version of this program.
    pub version: String,
}

impl Adapter {
    /// The adapter of a GPU; `None` for other devices.
    pub fn of(device: &Device) -> Option<Adapter> {
        match device {
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => {
                let of = gpu.summary();
                let (name, backend, driver) =
                    (of.name.clone(), of.backend.clone(), of.driver.clone());
                Some(Adapter { name, backend, driver, version: env!("CARGO_PKG_VERSION").into() })
            }
            _ => None,
        }
    }
}

/// An entry of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    adapter: Adapter,
    /// The model whose steps were timed last.
    model: String,
    tiles: Tiles,
}

/// An entry, which is checked if it is of this version. Another version may have other choices.
fn checked(value: Value) -> Parsed<Table> {
    let Value::Table(table) = value else { return Err("it is not a table".into()) };
    if table.get("version").and_then(Value::as_str) == Some(env!("CARGO_PKG_VERSION")) {
        let entry: Entry =
            table.clone().try_into().map_err(|e: toml::de::Error| e.message().to_string())?;
        entry.tiles.fault().map_or(Ok(()), Err)?;
    }
    Ok(table)
}

/// The content of a file of tiles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tuned {
    entries: Vec<Table>,
}

impl Tuned {
    /// The user's file: `pixelloom/tiles.toml` in the folder that the system has for settings. `None` if the environment
    /// does not name that folder.
    pub fn usual_path() -> Option<PathBuf> {
        let absolute = |name: &str| {
            std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute())
        };
        let home = |below: &str| std::env::home_dir().map(|home| home.join(below));
        let folder = if cfg!(windows) {
            absolute("APPDATA")
        } else if cfg!(target_os = "macos") {
            home("Library/Application Support")
        } else {
            absolute("XDG_CONFIG_HOME").or_else(|| home(".config"))
        };
        folder.map(|folder| folder.join("pixelloom").join("tiles.toml"))
    }

    /// Reads a file; `None` if there is none. Fails with [`Error::Disk`] if it cannot be read, and with
    /// [`Error::Config`] if it is not a file of tiles.
    pub fn read(path: &Path) -> Result<Option<Tuned>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::disk("read", path, e)),
        };
        Tuned::parse(&bytes).map(Some).map_err(|what| {
            Error::Config(format!(
                "{} is not a file of tiles: {what}; correct it, or delete it and run pixelloom tune again",
                path.display()
            ))
        })
    }

    /// Parses the content of a file. The error says what is wrong.
    pub fn parse(bytes: &[u8]) -> Parsed<Tuned> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_string())?;
        let one_line = |e: toml::de::Error| match e.span() {
            Some(span) => {
                let line = 1 + text[..span.start.min(text.len())].matches('\n').count();
                format!("line {line}: {}", e.message())
            }
            None => e.message().to_string(),
        };
        let mut table: Table = toml::from_str(text).map_err(one_line)?;
        let Some(Value::Array(entries)) = table.remove("adapter") else {
            return Err("it has no [[adapter]]".into());
        };
        if let Some(key) = table.keys().next() {
            return Err(format!("{key} is unknown"));
        }
        let entries = entries.into_iter().enumerate().map(|(index, value)| {
            checked(value).map_err(|what| format!("adapter {}: {what}", index + 1))
        });
        Ok(Tuned { entries: entries.collect::<Parsed<_>>()? })
    }

    /// The content as text. `parse` returns the same content.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{} wrote this file: tiles by adapter. To use the built-in ones again, delete an entry or the file.\n",
            tiles_mark()
        );
        for entry in &self.entries {
            let list =
                Table::from_iter([("adapter".to_string(), Value::from(vec![entry.clone()]))]);
            text.push('\n');
            text.push_str(&toml::to_string(&list).expect("a table is TOML"));
        }
        text
    }

    fn is_of(table: &Table, adapter: &Adapter) -> bool {
        let has = |key: &str, value: &str| table.get(key).and_then(Value::as_str) == Some(value);
        has("name", &adapter.name)
            && has("backend", &adapter.backend)
            && has("driver", &adapter.driver)
            && has("version", &adapter.version)
    }

    /// The tiles of an adapter, and the model that was timed.
    pub fn of(&self, adapter: &Adapter) -> Option<(Tiles, String)> {
        let table = self.entries.iter().find(|table| Tuned::is_of(table, adapter))?;
        let Entry { tiles, model, .. } = table.clone().try_into().ok()?;
        Some((tiles, model))
    }

    /// Replaces or appends the entry of an adapter.
    pub fn put(&mut self, adapter: Adapter, model: &str, tiles: Tiles) {
        self.entries.retain(|table| !Tuned::is_of(table, &adapter));
        let entry = Entry { adapter, model: model.into(), tiles };
        self.entries.push(Table::try_from(entry).expect("an entry is a table"));
    }

    /// The output at `path`, after checking that the file may be written. Fails as [`Output::named`] does.
    pub fn output(path: &Path) -> Result<Output> {
        Output::named(path, FileKind::Tiles, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(name: &str, version: &str) -> Adapter {
        let [name, backend, driver, version] =
            [name, "vulkan", "driver \"1\"", version].map(String::from);
        Adapter { name, backend, driver, version }
    }

    const OURS: &str = env!("CARGO_PKG_VERSION");

    #[test]
    fn a_file_holds_for_one_adapter_driver_and_version() {
        let mut tuned = Tuned::default();
        let tiles = Tiles::DISCRETE.with(4, 77);
        tuned.put(adapter("a", OURS), "digits", Tiles::OTHER);
        tuned.put(adapter("b \u{1b}[1m", OURS), "digits-draw", tiles);
        tuned.put(adapter("a", OURS), "mnist", tiles.with(0, 3));
        let read = Tuned::parse(tuned.text().as_bytes()).unwrap();
        assert_eq!(read, tuned);
        assert_eq!(read.entries.len(), 2);
        assert_eq!(read.of(&adapter("a", OURS)), Some((tiles.with(0, 3), "mnist".into())));
        assert_eq!(read.of(&adapter("b \u{1b}[1m", OURS)), Some((tiles, "digits-draw".into())));
        for other in [
            adapter("c", OURS),
            adapter("a", "0.0.1"),
            Adapter { driver: "driver \"2\"".into(), ..adapter("a", OURS) },
            Adapter { backend: "dx12".into(), ..adapter("a", OURS) },
        ] {
            assert_eq!(read.of(&other), None, "{other:?}");
        }
        // A file that this program wrote may be replaced.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("t.toml");
        for _ in 0..2 {
            Tuned::output(&path).unwrap().put(tuned.text().as_bytes()).unwrap();
        }
        assert_eq!(Tuned::read(&path).unwrap(), Some(tuned));
        assert_eq!(Tuned::read(folder.path().join("none").as_path()).unwrap(), None);
    }

    #[test]
    fn entries_of_other_versions_are_kept() {
        let of_another = "[[adapter]]\nname = \"a\"\nversion = \"99.0.0\"\nnews = [1]\n";
        let mut tuned = Tuned::parse(of_another.as_bytes()).unwrap();
        tuned.put(adapter("a", OURS), "digits", Tiles::OTHER);
        let read = Tuned::parse(tuned.text().as_bytes()).unwrap();
        assert_eq!(read.entries[0]["news"], Value::from(vec![1]));
        assert_eq!(read.of(&adapter("a", OURS)).unwrap().0, Tiles::OTHER);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named() {
        let mut whole = Tuned::default();
        whole.put(adapter("a", OURS), "digits", Tiles::DISCRETE);
        let whole = whole.text();
        let after = |from: &str, to: &str| {
            assert!(whole.contains(from), "{from} in {whole}");
            Tuned::parse(whole.replace(from, to).as_bytes()).unwrap_err()
        };
        for (from, to, said) in [
            (
                "weight_groups = 256",
                "weight_groups = 0",
                "adapter 1: weight_groups is 0, and must be from 1 to 2048",
            ),
            (
                "weight_groups = 256",
                "weight_groups = -1",
                "adapter 1: invalid value: integer `-1`, expected u32",
            ),
            (
                "weight_groups = 256",
                "weight_groups = \"x\"",
                "adapter 1: invalid type: string \"x\", expected u32",
            ),
            ("weight_groups", "wait_groups", "adapter 1: unknown field `wait_groups`"),
            ("weight_groups = 256\n", "", "adapter 1: missing field `weight_groups`"),
            ("model = \"digits\"\n", "", "adapter 1: missing field `model`"),
            ("[[adapter]]", "[adapter]", "it has no [[adapter]]"),
            ("[[adapter]]", "extra = 1\n[[adapter]]", "extra is unknown"),
            ("[adapter.tiles]", "[adapter.tiles", "line "),
        ] {
            let found = after(from, to);
            assert!(found.starts_with(said) && !found.contains('\n'), "{to}: {found}");
        }
        assert_eq!(Tuned::parse(b"\xff").unwrap_err(), "it is not UTF-8");
        assert_eq!(Tuned::parse(b"").unwrap_err(), "it has no [[adapter]]");
    }
}

//! The carriers' names of senders' addresses, out of a `MaxMind` database that the operator provides.
//!
//! Any database with `autonomous_system_organization` will do: `GeoLite2` ASN, `DB-IP` ASN Lite. It is read
//! into memory, off the way of media, and read anew when the file changes (`geoipupdate` replaces it).
//!
//! Invariant: without a database, and with one that cannot be read, every name is unknown and nothing else
//! changes. A broken new file does not end what an older one told.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use maxminddb::{PathElement, Reader};

/// More is no database of networks' names; the largest known has 30 MB.
const FILE_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Longer names are cut; pages and the plugin show them in one line.
const NAME_MAX_CHARS: usize = 80;

/// Names of carriers. Cheap to clone.
#[derive(Clone, Default)]
pub struct Carriers(Arc<Inner>);

#[derive(Default)]
struct Inner {
    path: Option<PathBuf>,
    state: ArcSwap<State>,
}

#[derive(Default, Clone)]
struct State {
    database: Option<Arc<Reader<Vec<u8>>>>,
    /// The file that was tried last, so that one is not read twice nor complained of twice.
    seen: Option<Stamp>,
    trouble: Option<String>,
}

/// Tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified_ns: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified_ns: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// What a look at the file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// No database is configured.
    Off,
    /// The file is as it was.
    Same,
    /// Another file was read.
    Read,
    /// There is no file that can be read; [`Carriers::trouble`] says why.
    Trouble,
}

impl fmt::Debug for Carriers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carriers")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}

impl Carriers {
    /// Names out of the database at `path`, once [`Carriers::look`] has read it; none without a path.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner {
            path,
            state: ArcSwap::default(),
        }))
    }

    /// The carrier's name of an address, where the database tells it.
    #[must_use]
    pub fn name_of(&self, address: IpAddr) -> Option<String> {
        let state = self.0.state.load();
        let database = state.database.as_ref()?;
        let path = [PathElement::Key("autonomous_system_organization")];
        let found = database.lookup(address).ok()?;
        let name: String = found.decode_path(&path).ok()??;
        let shown: String = name
            .chars()
            .filter(|character| !character.is_control())
            .take(NAME_MAX_CHARS)
            .collect();
        (!shown.trim().is_empty()).then(|| shown.trim().to_owned())
    }

    /// What keeps the configured database from being used; for an operator.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.0.state.load().trouble.clone()
    }

    /// Reads the file when it is another one than at the last look. Blocks on the disk.
    pub fn look(&self) -> Looked {
        let Some(path) = &self.0.path else {
            return Looked::Off;
        };
        let before = self.0.state.load_full();
        let stamp = std::fs::metadata(path).map(|metadata| Stamp::of(&metadata));
        if before.seen.is_some() && stamp.as_ref().ok() == before.seen.as_ref() {
            return Looked::Same;
        }
        match read(path) {
            Ok((database, stamp)) => {
                tracing::info!(path = %path.display(), "the carrier database is read");
                self.0.state.store(Arc::new(State {
                    database: Some(Arc::new(database)),
                    seen: Some(stamp),
                    trouble: None,
                }));
                Looked::Read
            }
            Err(reason) => {
                let trouble = format!("relay.carrier_database {}: {reason}", path.display());
                if before.trouble.as_ref() != Some(&trouble) {
                    tracing::warn!("{trouble}; carriers stay without a new name");
                }
                self.0.state.store(Arc::new(State {
                    database: before.database.clone(),
                    seen: stamp.ok(),
                    trouble: Some(trouble),
                }));
                Looked::Trouble
            }
        }
    }
}

fn read(path: &Path) -> Result<(Reader<Vec<u8>>, Stamp), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err("it is too large for a database of carriers".to_owned());
    }
    let database = Reader::from_source(bytes).map_err(|error| error.to_string())?;
    Ok((database, Stamp::of(&metadata)))
}

#[cfg(test)]
#[path = "../../tests/it/harness/mmdb.rs"]
mod mmdb;

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::mmdb::asn_database;
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn networks() -> Vec<u8> {
        asn_database(&[
            (ip("203.0.113.0"), 24, "Example Mobile GmbH"),
            (ip("2001:db8:7::"), 48, "Example Fibre"),
            (ip("198.51.100.0"), 24, " \u{7}\n "),
        ])
    }

    fn carriers(bytes: &[u8]) -> (tempfile::TempDir, PathBuf, Carriers) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("asn.mmdb");
        fs::write(&path, bytes).unwrap();
        let carriers = Carriers::new(Some(path.clone()));
        (folder, path, carriers)
    }

    #[test]
    fn addresses_of_both_families_have_their_carriers_name() {
        let (_folder, _, carriers) = carriers(&networks());
        assert_eq!(carriers.name_of(ip("203.0.113.9")), None, "not read yet");
        assert_eq!(carriers.look(), Looked::Read);
        let cases = [
            ("203.0.113.9", Some("Example Mobile GmbH")),
            ("2001:db8:7::1", Some("Example Fibre")),
            ("203.0.114.9", None),
            ("2001:db8:8::1", None),
            ("198.51.100.1", None),
        ];
        for (address, name) in cases {
            assert_eq!(carriers.name_of(ip(address)).as_deref(), name, "{address}");
        }
        assert_eq!(carriers.look(), Looked::Same);
    }

    #[test]
    fn a_changed_file_is_read_anew_and_a_broken_one_takes_nothing_away() {
        let (_folder, path, carriers) = carriers(&networks());
        carriers.look();
        let other = asn_database(&[(ip("203.0.113.0"), 24, "Another Mobile")]);
        fs::write(&path, other).unwrap();
        assert_eq!(carriers.look(), Looked::Read);
        let name = || carriers.name_of(ip("203.0.113.9"));
        assert_eq!(name().as_deref(), Some("Another Mobile"));
        fs::write(&path, b"no database at all").unwrap();
        assert_eq!(carriers.look(), Looked::Trouble);
        assert_eq!(carriers.look(), Looked::Same, "it is read once");
        assert!(carriers.trouble().unwrap().contains("asn.mmdb"));
        assert_eq!(name().as_deref(), Some("Another Mobile"));
        fs::remove_file(&path).unwrap();
        assert_eq!(carriers.look(), Looked::Trouble);
        fs::write(&path, networks()).unwrap();
        assert_eq!(carriers.look(), Looked::Read);
        assert_eq!(carriers.trouble(), None);
        assert_eq!(name().as_deref(), Some("Example Mobile GmbH"));
    }

    #[test]
    fn without_a_database_nothing_is_known_and_nothing_is_wrong() {
        let off = Carriers::new(None);
        assert_eq!(off.look(), Looked::Off);
        assert_eq!(
            (off.trouble(), off.name_of(ip("203.0.113.9"))),
            (None, None)
        );
    }

    #[test]
    fn a_folder_and_a_missing_file_are_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let at_folder = Carriers::new(Some(folder.path().to_owned()));
        assert_eq!(at_folder.look(), Looked::Trouble);
        let missing = Carriers::new(Some(folder.path().join("none.mmdb")));
        assert_eq!(missing.look(), Looked::Trouble);
        assert_eq!(missing.look(), Looked::Trouble, "it may come any time");
        assert!(missing.trouble().unwrap().contains("none.mmdb"));
    }

    #[test]
    fn a_long_name_is_cut() {
        let long = "x".repeat(200);
        let bytes = asn_database(&[(ip("203.0.113.0"), 24, &long)]);
        let (_folder, _, carriers) = carriers(&bytes);
        carriers.look();
        let name = carriers.name_of(ip("203.0.113.9")).unwrap();
        assert_eq!(name.len(), NAME_MAX_CHARS);
    }

    proptest! {
        #[test]
        fn no_damaged_database_makes_the_reader_panic(
            changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..20),
            cut in any::<u16>(),
        ) {
            let mut bytes = networks();
            for (at, value) in changes {
                let at = usize::from(at) % bytes.len();
                bytes[at] = value;
            }
            let keep = bytes.len() - usize::from(cut) % 60;
            bytes.truncate(keep);
            if let Ok(reader) = Reader::from_source(bytes) {
                let carriers = Carriers::new(None);
                carriers.0.state.store(Arc::new(State {
                    database: Some(Arc::new(reader)),
                    ..State::default()
                }));
                for address in ["203.0.113.9", "2001:db8:7::1", "0.0.0.0", "::"] {
                    let _ = carriers.name_of(ip(address));
                }
            }
        }
    }
}

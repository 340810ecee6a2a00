//! The appliance's own keys: made at the first start, kept in files that only its user can read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::files::write_private;
use crate::kernel::secret::random_hex;

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or made.
    #[error("the key file {} cannot be used", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// It is too short.
    #[error("the key file {} holds fewer than 32 characters: restore it from a backup", .0.display())]
    Weak(PathBuf),
    /// Others may read it.
    #[error("the key file {} may be read by others: run chmod 600 on it", .0.display())]
    Exposed(PathBuf),
    /// A sealing key must be 32 bytes in hexadecimal.
    #[error("the sealing key must be 64 hexadecimal digits")]
    NotHexadecimal,
}

/// Reads the key at `path`, or makes one of 32 random bytes in hexadecimal.
///
/// # Errors
/// [`KeyFileError`]; an unusable key is never replaced, because what it protects would be lost.
pub(super) fn read_or_make(path: &Path) -> Result<SecretString, KeyFileError> {
    let failed = |error| KeyFileError::Io(path.to_owned(), error);
    match File::open(path) {
        Ok(mut file) => {
            let mode = file.metadata().map_err(failed)?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(KeyFileError::Exposed(path.to_owned()));
            }
            let mut text = String::new();
            file.read_to_string(&mut text).map_err(failed)?;
            let text = text.trim();
            if text.len() < 32 {
                return Err(KeyFileError::Weak(path.to_owned()));
            }
            Ok(SecretString::from(text.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = random_hex::<32>();
            write_private(path, key.expose_secret().as_bytes()).map_err(failed)?;
            Ok(key)
        }
        Err(error) => Err(failed(error)),
    }
}

/// The 32 bytes of a sealing key.
///
/// # Errors
/// [`KeyFileError::NotHexadecimal`].
pub(super) fn sealing_bytes(key: &SecretString) -> Result<[u8; 32], KeyFileError> {
    let digits = key.expose_secret().as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return Err(KeyFileError::NotHexadecimal);
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let digit = |d: u8| {
            char::from(d)
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
        };
        let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
            return Err(KeyFileError::NotHexadecimal);
        };
        *byte = high << 4 | low;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt.key");
        let made = read_or_make(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let read = read_or_make(&path).unwrap();
        assert_eq!(made.expose_secret(), read.expose_secret());
        sealing_bytes(&made).unwrap();
    }

    #[test]
    fn a_weak_or_exposed_key_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt.key");
        write_private(&path, b"short").unwrap();
        assert!(matches!(read_or_make(&path), Err(KeyFileError::Weak(_))));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read_or_make(&path), Err(KeyFileError::Exposed(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
    }

    #[test]
    fn a_sealing_key_is_64_hexadecimal_digits() {
        let bytes = sealing_bytes(&SecretString::from("0f".repeat(32))).unwrap();
        assert_eq!(bytes, [15; 32]);
        for bad in [
            "0f".repeat(31),
            "0f".repeat(33),
            "zz".repeat(32),
            "é".repeat(32),
        ] {
            assert!(sealing_bytes(&SecretString::from(bad)).is_err());
        }
    }
}

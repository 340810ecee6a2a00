//! One process per data folder.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Held for the life of the process; the operating system lets go of it however the process ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Why the folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process runs on it.
    #[error("{} is in use by another glb process", .0.display())]
    Taken(PathBuf),
    /// The lock file cannot be made.
    #[error("cannot create the lock file in {}", .0.display())]
    Io(PathBuf, #[source] std::io::Error),
}

impl FolderLock {
    /// Locks `folder`, without waiting.
    ///
    /// # Errors
    /// [`LockError::Taken`] when a process holds it.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let io = |error| LockError::Io(folder.to_owned(), error);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join("glb.lock"))
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(folder.to_owned())),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        assert!(matches!(
            FolderLock::take(folder.path()),
            Err(LockError::Taken(_))
        ));
        drop(first);
        FolderLock::take(folder.path()).unwrap();
    }
}

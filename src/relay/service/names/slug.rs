//! The first label of a name.
//!
//! Invariant: slugs are drawn at random and tell nothing of their owner.

use rusqlite::Connection;

use crate::kernel::secret::random_bytes;
use crate::relay::store::names;

/// What slugs are made of.
const SLUG_LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const SLUG_CHARS: usize = 8;

/// A slug that nobody has.
pub(in super::super) fn free_slug(connection: &Connection) -> rusqlite::Result<String> {
    loop {
        let slug = random_slug();
        if !names::is_slug_taken(connection, &slug)? {
            return Ok(slug);
        }
    }
}

/// Eight letters and digits, each as likely as any other; the first is a letter, so that it reads as a name.
fn random_slug() -> String {
    let mut slug = String::with_capacity(SLUG_CHARS);
    while slug.len() < SLUG_CHARS {
        for byte in random_bytes::<32>() {
            let letters = if slug.is_empty() {
                26
            } else {
                SLUG_LETTERS.len()
            };
            // What is left over beyond a multiple would make the first letters likelier.
            let fair = 256 / letters * letters;
            if usize::from(byte) < fair && slug.len() < SLUG_CHARS {
                slug.push(char::from(SLUG_LETTERS[usize::from(byte) % letters]));
            }
        }
    }
    slug
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_names_and_differ() {
        let slugs: std::collections::HashSet<_> = (0..200).map(|_| random_slug()).collect();
        assert_eq!(slugs.len(), 200);
        for slug in slugs {
            assert_eq!(slug.len(), SLUG_CHARS);
            assert!(
                slug.starts_with(|first: char| first.is_ascii_lowercase()),
                "{slug}"
            );
            assert!(
                slug.bytes().all(|byte| SLUG_LETTERS.contains(&byte)),
                "{slug}"
            );
        }
    }
}

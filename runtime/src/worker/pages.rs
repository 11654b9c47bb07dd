//! The pages of a guest's memory: which of them were written to since they were mapped, and which lie side by side.

use crate::image::PAGE;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

/// Flags of an entry in `/proc/self/pagemap`: the page is here, or swapped out; it is a file's.
const PRESENT: u64 = 1 << 63 | 1 << 62;
const OF_FILE: u64 = 1 << 61;

/// Where the kernel tells; opened before this process can open nothing of the kind.
static PAGEMAP: LazyLock<io::Result<File>> = LazyLock::new(|| File::open("/proc/self/pagemap"));

/// To be called before the process is confined.
pub(super) fn open_pagemap() {
    LazyLock::force(&PAGEMAP);
}

/// The pages that are the process's own: mapped from a file privately, they were written to since.
///
/// # Errors
/// Where the kernel does not tell.
pub(super) fn written_pages(memory: &[u8]) -> io::Result<Vec<bool>> {
    let pagemap = PAGEMAP.as_ref().map_err(|error| io::Error::from(error.kind()))?;
    let count = memory.len() / PAGE;
    let mut entries = vec![0; count * size_of::<u64>()];
    let first = memory.as_ptr().addr() / PAGE * size_of::<u64>();
    pagemap.read_exact_at(&mut entries, first as u64)?;
    let (entries, _) = entries.as_chunks();
    let entries = entries.iter().map(|entry| u64::from_ne_bytes(*entry));
    Ok(entries.map(|entry| entry & PRESENT != 0 && entry & OF_FILE == 0).collect())
}

/// The rows of pages that are set.
pub(super) fn rows(pages: &[bool]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + pages[at..].iter().position(|set| *set)?;
        let len = pages[start..].iter().position(|set| !*set).unwrap_or(pages.len() - start);
        at = start + len;
        Some(start..at)
    })
}

/// Fills the gaps of at most so many pages.
pub(super) fn close_gaps(pages: &mut [bool], most: usize) {
    let mut end = None;
    for at in 0..pages.len() {
        if pages[at] {
            if let Some(end) = end.filter(|end| at - end <= most) {
                pages[end..at].fill(true);
            }
            end = Some(at + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_what_is_set_and_small_gaps_are_closed() {
        let mut pages = [true, false, false, true, true, false, false, false, true];
        assert_eq!(rows(&pages).collect::<Vec<_>>(), [0..1, 3..5, 8..9]);
        close_gaps(&mut pages, 2);
        assert_eq!(rows(&pages).collect::<Vec<_>>(), [0..5, 8..9]);
        assert_eq!(rows(&[]).count(), 0);
    }
}

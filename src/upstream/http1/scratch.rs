//! Memory that the connections of a thread share, so that none needs any of its own while it waits.

use std::cell::Cell;

/// What one read may bring: as much as is handed to a client at once.
const READ: usize = 64 * 1024;

/// What is kept of a buffer for heads; a larger one is let go.
const WRITE: usize = 64 * 1024;

thread_local! {
    static READING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static WRITING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends a buffer to read into.
pub(super) fn reading<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = READING.take();
    if buffer.is_empty() {
        buffer = vec![0; READ];
    }
    let done = work(&mut buffer);
    READING.set(buffer);
    done
}

/// Lends an empty buffer to write a request in, and wipes it afterwards: there is a key in it.
pub(super) fn writing<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut buffer = WRITING.take();
    let done = work(&mut buffer);
    // It stays reachable, so no compiler may take the wiping for idle.
    buffer.fill(0);
    buffer.clear();
    if buffer.capacity() <= WRITE {
        WRITING.set(buffer);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_lent_again_and_within_itself() {
        let first = reading(|buffer| {
            reading(|other| assert_eq!((buffer.len(), other.len()), (READ, READ)));
            buffer.as_ptr() as usize
        });
        assert_eq!(reading(|buffer| buffer.as_ptr() as usize), first);
    }

    #[test]
    fn a_buffer_to_write_in_is_lent_empty_and_let_go_when_it_grew_large() {
        writing(|buffer| buffer.extend_from_slice(b"sk-1"));
        writing(|buffer| {
            assert!(buffer.is_empty() && buffer.capacity() >= 4);
            buffer.resize(WRITE + 1, 1);
        });
        writing(|buffer| assert_eq!(buffer.capacity(), 0));
    }
}

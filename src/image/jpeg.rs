//! The marker structure of a JPEG file, read without decoding it.

/// What the markers of a JPEG file tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Markers {
    /// The file goes on to its end marker. The decoder fills what is missing with grey and says nothing.
    pub complete: bool,
    /// A progressive file, which the decoder holds whole as coefficients before it has pixels.
    pub progressive: bool,
}

/// Walks the markers from the start: segments by their lengths, entropy-coded data byte by byte.
pub(super) fn markers(bytes: &[u8]) -> Markers {
    let mut found = Markers::default();
    let mut at = 2;
    loop {
        // Between segments any number of fill bytes may stand before a marker.
        while bytes.get(at) == Some(&0xff) && bytes.get(at + 1) == Some(&0xff) {
            at += 1;
        }
        let (Some(0xff), Some(&marker)) = (bytes.get(at), bytes.get(at + 1)) else { return found };
        match marker {
            0xd9 => {
                found.complete = true;
                return found;
            }
            // Markers that stand alone.
            0x01 | 0xd0..=0xd8 => {
                at += 2;
                continue;
            }
            0xc2 | 0xc6 | 0xca | 0xce => found.progressive = true,
            _ => {}
        }
        let Some(&[high, low]) = bytes.get(at + 2..at + 4).and_then(|b| b.first_chunk::<2>()) else { return found };
        at += 2 + usize::from(u16::from_be_bytes([high, low])).max(2);
        if marker == 0xda {
            at = scan_end(bytes, at);
        }
    }
}

/// Where entropy-coded data ends: at a marker that is neither a stuffed zero nor a restart.
fn scan_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = bytes.get(at) {
        if byte == 0xff && !matches!(bytes.get(at + 1), Some(0x00 | 0xd0..=0xd7 | 0xff)) {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_walked_and_thumbnails_skipped() {
        // SOI, APP1 that holds an end marker, SOF2, SOS, data with a stuffed byte and a restart, EOI.
        let file =
            b"\xff\xd8\xff\xe1\x00\x06\xff\xd8\xff\xd9\xff\xff\xc2\x00\x02\xff\xda\x00\x02ab\xff\x00c\xff\xd0d\xff\xd9";
        assert_eq!(markers(file), Markers { complete: true, progressive: true });
        for end in 0..file.len() {
            assert!(!markers(&file[..end]).complete, "{end}");
        }
        assert!(markers(&[file.as_slice(), b"trailing bytes"].concat()).complete);
    }

    #[test]
    fn nonsense_ends() {
        for byte in [0x00, 0xff, 0xd8, 0xda] {
            assert!(!markers(&vec![byte; 4096]).complete);
        }
    }
}

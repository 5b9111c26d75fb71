//! The marker structure of a JPEG file, and a copy of the file without the parts that the decoder cannot handle.

/// What the markers of a JPEG file tell.
#[derive(Debug, Default)]
pub(super) struct Markers<'a> {
    /// What the start-of-frame segment says.
    pub frame: Option<Frame>,
    /// The file goes on to its end marker.
    pub ended: bool,
    /// Number of components in the first scan; 0 if there is no scan.
    pub first_scan: usize,
    scans: usize,
    /// For each component, the bits of each of the 64 coefficients that are still to come; `None` before its first
    /// scan.
    precision: Vec<(u8, [Option<u8>; 64])>,
    /// The Exif data, without their prefix.
    pub exif: Option<&'a [u8]>,
    /// Sequence number and content of each part of the ICC profile.
    icc: Vec<(u8, &'a [u8])>,
    /// The file anew: only what a decoder needs, and every stretch of entropy-coded data followed by [`PAD`].
    pub clean: Vec<u8>,
}

/// The start-of-frame segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Which of the sixteen: 0 to 2 are baseline, extended and progressive.
    pub process: u8,
    /// Bits a channel.
    pub precision: u8,
    pub size: (u32, u32),
    /// Horizontal and vertical sampling factor of each component.
    pub sampling: Vec<(u8, u8)>,
}

/// Forty bits of one. No Huffman code consists of ones alone, so a decoder that has not all of its coefficients when
/// the data end meets an error here. Without it decoders go on with zeros and make a picture of them.
const PAD: [u8; 10] = [0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0];

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;

/// Walks the markers from the start: segments by their lengths, entropy-coded data byte by byte. Between segments, and
/// after them, anything may stand that is no marker: real files have padding and rests of other software there.
pub(super) fn markers(bytes: &[u8]) -> Markers<'_> {
    let mut found = Markers { clean: Vec::with_capacity(bytes.len() + 64), ..Markers::default() };
    found.clean.extend([0xff, SOI]);
    let mut at = 2;
    while let Some((marker, after)) = next_marker(bytes, at) {
        if marker == EOI {
            found.ended = true;
            break;
        }
        at = after;
        // Markers that stand alone; a restart outside of a scan means nothing.
        if matches!(marker, 0x01 | 0xd0..=SOI) {
            continue;
        }
        let length = bytes.get(at..at + 2).and_then(|b| b.first_chunk::<2>()).map_or(0, |&n| u16::from_be_bytes(n));
        let Some(segment) = bytes.get(at + 2..at + usize::from(length)) else { break };
        found.segment(marker, segment);
        at += usize::from(length);
        if marker == SOS {
            at = match found.is_first_of_progressive() {
                // The decoder wants the next marker right behind the data of the first scan. They come a second time,
                // with the padding: these are the coarse bits of the means, which are few and only set anew.
                true => {
                    found.scan(bytes, at, &[]);
                    found.copy(marker, segment);
                    found.scan(bytes, at, &PAD)
                }
                false => found.scan(bytes, at, &PAD),
            };
        }
    }
    found.clean.extend([0xff, EOI]);
    found
}

/// The next marker and where it ends.
fn next_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += bytes.get(at..)?.iter().position(|&b| b == 0xff)?;
        // Any number of fill bytes may stand before a marker.
        at += bytes.get(at..)?.iter().position(|&b| b != 0xff)?;
        match bytes.get(at) {
            Some(0) => at += 1,
            Some(&marker) => return Some((marker, at + 1)),
            None => return None,
        }
    }
}

impl<'a> Markers<'a> {
    /// The ICC profile, put together from its parts.
    pub fn profile(&self) -> Option<Vec<u8>> {
        let mut parts: Vec<_> = self.icc.iter().collect();
        parts.sort_by_key(|(number, _)| *number);
        let in_order = parts.iter().zip(1usize..).all(|((number, _), expected)| usize::from(*number) == expected);
        (in_order && !parts.is_empty()).then(|| parts.iter().flat_map(|(_, part)| part.iter().copied()).collect())
    }

    /// Whether the scans bring every coefficient of every component to its last bit.
    pub fn is_refined(&self) -> bool {
        let components = self.frame.as_ref().map_or(0, |frame| frame.sampling.len());
        self.precision.len() == components
            && self.precision.iter().all(|(_, bits)| bits.iter().all(|bits| *bits == Some(0)))
    }

    /// Whether the scan whose header was read last is the first one of a progressive file.
    fn is_first_of_progressive(&mut self) -> bool {
        self.scans += 1;
        self.scans == 1 && self.frame.as_ref().is_some_and(|frame| frame.process == 2)
    }

    fn segment(&mut self, marker: u8, segment: &'a [u8]) {
        match marker {
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf if self.frame.is_none() => {
                self.frame = frame(marker & 0x0f, segment);
            }
            0xe1 if self.exif.is_none() => self.exif = segment.strip_prefix(b"Exif\0\0"),
            0xe2 => {
                if let Some([number, _, part @ ..]) = segment.strip_prefix(b"ICC_PROFILE\0") {
                    self.icc.push((*number, part));
                }
            }
            SOS => self.scan_header(segment),
            _ => {}
        }
        // Frames, tables, restart interval, scans, and what tells the colour space: Adobe's segment, and AVI1, which
        // leaves the tables out.
        let needed = matches!(marker, 0xc0..=0xcf | SOS | 0xdb | 0xdd | 0xee);
        if needed || (marker == 0xe0 && segment.starts_with(b"AVI1")) {
            self.copy(marker, segment);
        }
    }

    fn copy(&mut self, marker: u8, segment: &[u8]) {
        self.clean.extend([0xff, marker]);
        // It came with a length of two bytes, so it has one.
        self.clean.extend((segment.len() as u16 + 2).to_be_bytes());
        self.clean.extend_from_slice(segment);
    }

    fn scan_header(&mut self, segment: &[u8]) {
        let Some((&count, rest)) = segment.split_first() else { return };
        if self.first_scan == 0 {
            self.first_scan = usize::from(count);
        }
        let (components, rest) = rest.split_at(rest.len().min(2 * usize::from(count)));
        let &[start, end, approximation, ..] = rest else { return };
        // Of files that are not progressive a scan has all.
        let progressive = self.frame.as_ref().is_some_and(|frame| frame.process == 2);
        let (start, end, left) = if progressive { (start, end, approximation & 0x0f) } else { (0, 63, 0) };
        for &[id, _] in components.as_chunks::<2>().0 {
            let at = self.precision.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
                self.precision.push((id, [None; 64]));
                self.precision.len() - 1
            });
            let bits = self.precision[at].1.iter_mut();
            bits.take(usize::from(end) + 1).skip(usize::from(start)).for_each(|bits| *bits = Some(left));
        }
    }

    /// Copies the entropy-coded data of a scan, with `pad` after each stretch, and gives the place of the marker after
    /// it.
    fn scan(&mut self, bytes: &[u8], mut at: usize, pad: &[u8]) -> usize {
        let mut copied = at;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(place) = rest.iter().position(|&b| b == 0xff) else {
                self.clean.extend_from_slice(bytes.get(copied..).unwrap_or_default());
                self.clean.extend_from_slice(pad);
                return bytes.len();
            };
            at += place;
            let after = at + bytes[at..].iter().take_while(|&&b| b == 0xff).count();
            if bytes.get(after) == Some(&0) {
                // A byte of ones, with the zero that says so.
                at = after + 1;
                continue;
            }
            self.clean.extend_from_slice(&bytes[copied..at]);
            self.clean.extend_from_slice(pad);
            match bytes.get(after) {
                Some(&restart @ 0xd0..=0xd7) => {
                    self.clean.extend([0xff, restart]);
                    at = after + 1;
                    copied = at;
                }
                _ => return at,
            }
        }
    }
}

fn frame(process: u8, segment: &[u8]) -> Option<Frame> {
    let &[precision, h1, h0, w1, w0, count, ref components @ ..] = segment else { return None };
    let sampling = components.as_chunks::<3>().0.iter().take(usize::from(count)).map(|[_, hv, _]| (hv >> 4, hv & 0x0f));
    let size = (u32::from(u16::from_be_bytes([w1, w0])), u32::from(u16::from_be_bytes([h1, h0])));
    Some(Frame { process, precision, size, sampling: sampling.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SOI, APP1 that holds an end marker, SOF2, SOS, data with a stuffed byte and a restart, EOI.
    const FILE: &[u8] = b"\xff\xd8\xff\xe1\x00\x06\xff\xd8\xff\xd9\xff\xff\xc2\x00\x0b\x08\0\x10\0\x20\x01\x01\x21\0\
        \xff\xda\x00\x08\x01\x01\0\0\x3f\0ab\xff\x00c\xff\xd0d\xff\xd9";

    #[test]
    fn markers_are_walked_and_thumbnails_skipped() {
        let found = markers(FILE);
        assert!(found.ended && found.first_scan == 1 && found.is_refined());
        let frame = Frame { process: 2, precision: 8, size: (32, 16), sampling: vec![(2, 1)] };
        assert_eq!(found.frame, Some(frame));
        for end in 0..FILE.len() {
            assert!(!markers(&FILE[..end]).ended, "{end}");
        }
        assert!(markers(&[FILE, b"trailing bytes"].concat()).ended);
    }

    #[test]
    fn every_stretch_of_data_is_followed_by_ones() {
        let clean = markers(FILE).clean;
        let data = |pad: &[u8]| [b"\0ab\xff\0c".as_slice(), pad, b"\xff\xd0d", pad, b"\xff"].concat();
        let found = |data: &[u8]| clean.windows(data.len()).any(|window| window == data);
        // The first scan of a progressive file comes without the ones and then with them.
        assert!(found(&data(&[])) && found(&data(&PAD)) && clean.ends_with(&[0xff, EOI]), "{clean:02x?}");
        let mut baseline = FILE.to_vec();
        baseline[12] = 0xc0;
        let clean = markers(&baseline).clean;
        let found = |data: &[u8]| clean.windows(data.len()).any(|window| window == data);
        assert!(!found(&data(&[])) && found(&data(&PAD)), "{clean:02x?}");
        let clean = markers(FILE).clean;
        // Without its end marker the same file comes out.
        assert_eq!(markers(&FILE[..FILE.len() - 2]).clean, clean);
        assert_eq!(markers(&FILE[..FILE.len() - 1]).clean, clean);
    }

    #[test]
    fn what_stands_between_segments_is_left_out() {
        let at = 10;
        for junk in [b"\0".as_slice(), b"\0\0\0", b"junk", b"\xff\0\xff\0"] {
            let file = [&FILE[..at], junk, &FILE[at..]].concat();
            assert_eq!(markers(&file).clean, markers(FILE).clean, "{junk:?}");
        }
    }

    #[test]
    fn profiles_are_put_together_in_order() {
        let part = |number: u8, text: &[u8]| {
            let body = [b"ICC_PROFILE\0".as_slice(), &[number, 2], text].concat();
            [&[0xff, 0xe2, 0, body.len() as u8 + 2], body.as_slice()].concat()
        };
        let file = |parts: &[Vec<u8>]| [b"\xff\xd8".as_slice(), &parts.concat()].concat();
        let whole = file(&[part(2, b"cd"), part(1, b"ab")]);
        assert_eq!(markers(&whole).profile(), Some(b"abcd".to_vec()));
        assert_eq!(markers(&file(&[part(2, b"cd")])).profile(), None);
        assert_eq!(markers(b"\xff\xd8").profile(), None);
    }

    #[test]
    fn nonsense_ends() {
        for byte in [0x00, 0xff, 0xd8, 0xda] {
            assert!(!markers(&vec![byte; 4096]).ended);
        }
    }
}

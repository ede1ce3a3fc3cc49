//! What clang's precompiled header says of itself: whether it stands on another one, and whether it knows the times of its headers.
//!
//! Shape: the letters `CPCH`, then blocks of bits; the control block's first record tells how the file was made, one more tells of every
//! other such file that it stands on.
//!
//! Source: "LLVM Bitcode File Format", the bitstream container; which records there are was observed with clang 14 and 16.

/// What of a precompiled header decides whether clang takes it, beside its own content and that of its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClangImage {
    /// It was made with another precompiled header, whose content no list names.
    pub chained: bool,
    /// Clang compares the times of its headers with those that it holds.
    pub timed: bool,
}

const MAGIC: &[u8] = b"CPCH";
/// Width of an abbreviation's number outside of all blocks, in bits.
const OUTER_WIDTH: u32 = 2;
const CONTROL_BLOCK: u64 = 15;
/// Records of the control block.
const METADATA: u64 = 1;
const IMPORTS: u64 = 2;
/// Numbers of a metadata record, and which of them says that times are held, where that is known.
const KNOWN_METADATA: (u64, usize) = (8, 6);
/// Most values of a record that are kept; those behind are read over.
const KEPT: usize = 8;
/// Most values of one record: an import holds a path byte by byte, and Linux has none above 4 KiB.
const VALUES_MAX: u64 = 1 << 16;
/// Most parts of an abbreviation; clang's have a dozen.
const PARTS_MAX: u64 = 64;

impl ClangImage {
    /// Reads what a precompiled header says; `None` where it is none, or says so in a way that is not known.
    pub fn read(content: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes: content.strip_prefix(MAGIC)?, at: 0 };
        loop {
            match bits.fixed(OUTER_WIDTH)? {
                1 => {}
                _ => return None,
            }
            let (block, width, end) = bits.enter()?;
            if block == CONTROL_BLOCK {
                return Control { bits, width, known: Vec::new() }.read();
            }
            bits.skip_to(end)?;
        }
    }
}

/// One part of an abbreviation.
#[derive(Clone, Copy, Debug)]
enum Part {
    Literal(u64),
    Fixed(u32),
    Variable(u32),
    Array,
    Character,
    Blob,
}

/// The number of values of a record, and the first of them: the code is one.
struct Record {
    count: u64,
    values: [u64; KEPT],
}

impl Record {
    const fn new() -> Self {
        Self { count: 0, values: [0; KEPT] }
    }

    fn push(&mut self, value: u64) {
        if let Some(slot) = usize::try_from(self.count).ok().and_then(|at| self.values.get_mut(at)) {
            *slot = value;
        }
        self.count += 1;
    }
}

/// The control block, while it is read.
struct Control<'a> {
    bits: Bits<'a>,
    width: u32,
    known: Vec<Vec<Part>>,
}

impl Control<'_> {
    fn read(mut self) -> Option<ClangImage> {
        let mut image = None;
        loop {
            let record = match self.bits.fixed(self.width)? {
                0 => return image,
                1 => {
                    let (_, _, end) = self.bits.enter()?;
                    self.bits.skip_to(end)?;
                    continue;
                }
                2 => {
                    let parts = self.define()?;
                    self.known.push(parts);
                    continue;
                }
                3 => self.plain()?,
                number => self.abbreviated(usize::try_from(number - 4).ok()?)?,
            };
            match (&mut image, record.values[0]) {
                (None, METADATA) => {
                    let timed = record.count != KNOWN_METADATA.0 || record.values[KNOWN_METADATA.1] != 0;
                    image = Some(ClangImage { chained: false, timed });
                }
                // It comes first.
                (None, _) => return None,
                (Some(image), IMPORTS) => image.chained = true,
                (Some(_), _) => {}
            }
        }
    }

    fn define(&mut self) -> Option<Vec<Part>> {
        let bits = &mut self.bits;
        let count = bits.variable(5).filter(|count| *count <= PARTS_MAX)?;
        (0..count)
            .map(|_| {
                if bits.fixed(1)? == 1 {
                    return bits.variable(8).map(Part::Literal);
                }
                let encoding = bits.fixed(3)?;
                let mut width = || bits.variable(5).filter(|width| *width <= 64)?.try_into().ok();
                Some(match encoding {
                    1 => Part::Fixed(width()?),
                    2 => Part::Variable(width()?),
                    3 => Part::Array,
                    4 => Part::Character,
                    5 => Part::Blob,
                    _ => return None,
                })
            })
            .collect()
    }

    fn plain(&mut self) -> Option<Record> {
        let mut record = Record::new();
        record.push(self.bits.variable(6)?);
        for _ in 0..self.bits.count()? {
            record.push(self.bits.variable(6)?);
        }
        Some(record)
    }

    fn abbreviated(&mut self, number: usize) -> Option<Record> {
        let mut record = Record::new();
        let mut parts = self.known.get(number)?.iter();
        while let Some(part) = parts.next() {
            match part {
                Part::Array => {
                    let element = parts.next()?;
                    for _ in 0..self.bits.count()? {
                        record.push(self.bits.value(*element)?);
                    }
                }
                Part::Blob => {
                    let length = self.bits.variable(6)?;
                    self.bits.align();
                    self.bits
                        .skip_to(self.bits.at.checked_add(usize::try_from(length).ok()?.checked_mul(8)?)?)?;
                    self.bits.align();
                }
                part => record.push(self.bits.value(*part)?),
            }
        }
        Some(record)
    }
}

/// Bits, the lowest of each byte first.
struct Bits<'a> {
    /// What follows the magic; its four bytes leave all multiples of 32 bits where they are.
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn fixed(&mut self, width: u32) -> Option<u64> {
        let mut value = 0;
        for shift in 0..width {
            let byte = *self.bytes.get(self.at / 8)?;
            value |= u64::from(byte >> (self.at % 8) & 1) << shift;
            self.at += 1;
        }
        Some(value)
    }

    /// Reads a number in pieces of `width` bits, the highest of which says that another one follows.
    fn variable(&mut self, width: u32) -> Option<u64> {
        let more = 1 << width.checked_sub(1).filter(|bit| (1..32).contains(bit))?;
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(width as usize - 1) {
            let piece = self.fixed(width)?;
            value |= (piece & (more - 1)) << shift;
            if piece & more == 0 {
                return Some(value);
            }
        }
        None
    }

    fn value(&mut self, part: Part) -> Option<u64> {
        match part {
            Part::Literal(value) => Some(value),
            Part::Fixed(width) => self.fixed(width),
            Part::Variable(0) => Some(0),
            Part::Variable(width) => self.variable(width),
            Part::Character => self.fixed(6),
            Part::Array | Part::Blob => None,
        }
    }

    fn count(&mut self) -> Option<u64> {
        self.variable(6).filter(|count| *count <= VALUES_MAX)
    }

    /// Enters a block; returns its number, the width of abbreviations in it, and where it ends.
    fn enter(&mut self) -> Option<(u64, u32, usize)> {
        let block = self.variable(8)?;
        let width = self.variable(4)?.try_into().ok().filter(|width| (2..=32).contains(width))?;
        self.align();
        let words = usize::try_from(self.fixed(32)?).ok()?;
        Some((block, width, self.at.checked_add(words.checked_mul(32)?)?))
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(32);
    }

    fn skip_to(&mut self, at: usize) -> Option<()> {
        self.at = at;
        (at / 8 <= self.bytes.len()).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::oracle::{Tree, words};
    use std::process::Command;

    const COMPILERS: [&str; 2] = ["clang", "clang-16"];

    /// Makes a precompiled header of `h.h`, and returns its bytes; `None` where the compiler is not here.
    fn made(tree: &Tree, compiler: &str, options: &[&str]) -> Option<Vec<u8>> {
        if Command::new(compiler).arg("--version").output().is_err() {
            eprintln!("SKIPPED: {compiler} is not installed, so this test proves nothing here");
            return None;
        }
        let argv = [&[compiler, "-x", "c-header", "h.h", "-o", "h.pch"], options].concat();
        assert!(tree.run(&words(&argv)).status.success(), "{argv:?}");
        Some(tree.read(b"h.pch"))
    }

    #[test]
    fn each_kind_of_a_precompiled_header_is_told_apart() {
        for compiler in COMPILERS {
            let tree = Tree::new();
            tree.write(b"h.h", b"static inline int h(void) { return 1; }\n");
            tree.write(b"b.h", b"int b;\n");
            let timeless = ["-Xclang", "-fno-pch-timestamp"];
            let Some(plain) = made(&tree, compiler, &[]) else { continue };
            let kind = |image: &[u8]| ClangImage::read(image);
            assert_eq!(kind(&plain), Some(ClangImage { chained: false, timed: true }), "{compiler}");
            let image = made(&tree, compiler, &timeless).unwrap();
            assert_eq!(kind(&image), Some(ClangImage { chained: false, timed: false }), "{compiler}");
            let on =
                [&[compiler, "-x", "c-header", "-include-pch", "h.pch", "b.h", "-o", "b.pch"], &timeless[..]];
            assert!(tree.run(&words(&on.concat())).status.success());
            let image = tree.read(b"b.pch");
            assert_eq!(kind(&image), Some(ClangImage { chained: true, timed: false }), "{compiler}");
        }
    }

    #[test]
    fn what_is_cut_or_damaged_says_nothing_and_ends_nobody() {
        for compiler in COMPILERS {
            let tree = Tree::new();
            tree.write(b"h.h", b"int h;\n");
            let Some(image) = made(&tree, compiler, &[]) else { continue };
            assert_eq!(ClangImage::read(b""), None);
            let head = &image[..image.len().min(16 << 10)];
            for length in (0..head.len()).step_by(7) {
                let _ = ClangImage::read(&head[..length]);
            }
            // A byte is another one, wherever.
            for at in (0..head.len()).step_by(3) {
                for byte in [0, 0x55, 0xFF] {
                    let mut damaged = head.to_vec();
                    damaged[at] = byte;
                    let _ = ClangImage::read(&damaged);
                }
            }
        }
    }
}

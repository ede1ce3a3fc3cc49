//! Whether an output can hide what it says: in compressed or coded sections no search finds a path.
//!
//! Source: the ELF specification (System V gABI), chapters "ELF Header" and "Sections".

use crate::cpp::Places;
use dccache_protocol::entry::OutputRole;
use memchr::memmem::find;

/// First bytes of an ELF file.
const MAGIC: &[u8] = b"\x7fELF";

/// Flag of a compressed section.
const SHF_COMPRESSED: u64 = 0x800;

/// Beginnings of names of sections that hold compressed text, or intermediate code of a compiler.
const CODED: [&[u8]; 7] = [
    b".zdebug",
    b".gnu.lto",
    b".gnu.offload_lto",
    b".gnu.debuglto",
    b".llvmbc",
    b".llvm.lto",
    b".llvm.offloading",
];

/// Most sections that are looked at: four times what a unit with a section per function has been seen with.
const SECTIONS_MAX: u64 = 1 << 20;

/// Whether root or working directory shows in an output, or could without being seen.
pub fn can_show(places: &Places<'_>, role: OutputRole, content: &[u8]) -> bool {
    let can_hide = match role {
        OutputRole::Object => object_can_hide(content),
        _ if content.starts_with(MAGIC) => object_can_hide(content),
        _ => assembly_can_hide(content),
    };
    can_hide || places.leak_into(content)
}

/// Whether an object can hide a path from a search for its bytes. What is no ELF object can.
fn object_can_hide(content: &[u8]) -> bool {
    sections_are_plain(content) != Some(true)
}

/// Whether assembly can: only where it holds sections with intermediate code.
fn assembly_can_hide(text: &[u8]) -> bool {
    CODED.iter().any(|name| find(text, name).is_some())
}

/// Fields of an ELF file, in its own width and order of bytes.
struct Reader<'a> {
    content: &'a [u8],
    wide: bool,
    big: bool,
}

impl Reader<'_> {
    fn number(&self, at: u64, length: usize) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let field = self.content.get(at..at.checked_add(length)?)?;
        let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(match self.big {
            true => field.iter().fold(0, join),
            false => field.iter().rev().fold(0, join),
        })
    }

    /// Reads a field that is as wide as an address; it lies at one of two places.
    fn address(&self, narrow: u64, wide: u64) -> Option<u64> {
        if self.wide { self.number(wide, 8) } else { self.number(narrow, 4) }
    }

    fn half(&self, narrow: u64, wide: u64) -> Option<u64> {
        self.number(if self.wide { wide } else { narrow }, 2)
    }
}

/// One section header.
struct Section {
    name: u64,
    flags: u64,
    offset: u64,
    size: u64,
    link: u64,
}

impl Section {
    fn read(reader: &Reader<'_>, at: u64) -> Option<Self> {
        let place = |narrow: u64, wide: u64| Some((at.checked_add(narrow)?, at.checked_add(wide)?));
        let address =
            |narrow, wide| place(narrow, wide).and_then(|(narrow, wide)| reader.address(narrow, wide));
        let (link_narrow, link_wide) = place(24, 40)?;
        Some(Self {
            name: reader.number(at, 4)?,
            flags: address(8, 8)?,
            offset: address(16, 24)?,
            size: address(20, 32)?,
            link: reader.number(if reader.wide { link_wide } else { link_narrow }, 4)?,
        })
    }
}

/// `None` for what is no whole ELF file.
fn sections_are_plain(content: &[u8]) -> Option<bool> {
    let (class, order) = (*content.get(4)?, *content.get(5)?);
    if !content.starts_with(MAGIC) || !matches!((class, order), (1 | 2, 1 | 2)) {
        return None;
    }
    let reader = Reader { content, wide: class == 2, big: order == 2 };
    let table = reader.address(0x20, 0x28)?;
    let entry = reader.half(0x2E, 0x3A)?;
    let section = |index: u64| Section::read(&reader, table.checked_add(index.checked_mul(entry)?)?);
    // Beyond 65,279 sections both numbers lie in the first header.
    let first = section(0)?;
    let count = Some(reader.half(0x30, 0x3C)?).filter(|count| *count != 0).unwrap_or(first.size);
    let names = Some(reader.half(0x32, 0x3E)?).filter(|index| *index != 0xFFFF).unwrap_or(first.link);
    if count > SECTIONS_MAX {
        return None;
    }
    let names = section(names)?;
    let start = usize::try_from(names.offset).ok()?;
    let names = content.get(start..start.checked_add(usize::try_from(names.size).ok()?)?)?;
    for index in 1..count {
        let section = section(index)?;
        let name = names.get(usize::try_from(section.name).ok()?..)?;
        if section.flags & SHF_COMPRESSED != 0 || CODED.iter().any(|coded| name.starts_with(coded)) {
            return Some(false);
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::oracle::compilers;
    use std::process::Command;

    /// Compiles a source with a path in its debug information; returns the object.
    fn object(compiler: &str, flags: &[&str], source: &str) -> Vec<u8> {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a.c"), source).unwrap();
        let mut command = Command::new(compiler);
        command.current_dir(place.path()).args(flags).args(["-c", "a.c", "-o", "a.o"]);
        assert!(command.status().unwrap().success(), "{compiler} {flags:?}");
        std::fs::read(place.path().join("a.o")).unwrap()
    }

    #[test]
    fn plain_objects_hide_nothing_and_compressed_or_coded_ones_can() {
        let source = "void g(int *);\nvoid h(void) { int a = 0;\n#pragma omp target\n{ a = 1; }\ng(&a); }\n";
        for (_, compiler) in compilers() {
            for plain in [&["-O2"][..], &["-g"], &["-g3", "-ffunction-sections"], &["-gz=none", "-g"]] {
                assert!(!object_can_hide(&object(compiler, plain, source)), "{compiler} {plain:?}");
            }
            for coded in [&["-g", "-gz"][..], &["-flto"]] {
                assert!(object_can_hide(&object(compiler, coded, source)), "{compiler} {coded:?}");
            }
        }
        // Code for another device, as a distribution's gcc writes it.
        assert!(object_can_hide(&object("gcc", &["-fopenmp"], source)));
    }

    #[test]
    fn what_is_cut_or_no_object_can_hide_everything() {
        assert!(object_can_hide(b""));
        assert!(object_can_hide(b"BC\xC0\xDE"));
        let whole = object("gcc", &[], "int a;\n");
        assert!((0..whole.len() / 2).all(|end| object_can_hide(&whole[..end])));
    }

    #[test]
    fn any_byte_of_an_object_may_be_changed_without_a_panic() {
        let whole = object("gcc", &["-g"], "int a;\n");
        let mut tried = 0;
        for at in 0..whole.len() {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut changed = whole.clone();
                changed[at] = value;
                object_can_hide(&changed);
                tried += 1;
            }
        }
        println!("{tried} mutations");
    }
}

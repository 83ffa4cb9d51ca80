//! Sizes and symbols of a linked firmware.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{Endianness, File, Object, ObjectSection, ObjectSymbol, elf};

/// What matters of one ELF file.
pub(crate) struct Firmware {
    sections: BTreeMap<String, u64>,
    /// Names, addresses and lengths.
    symbols: Vec<(String, u64, u64)>,
    /// What is written, by the addresses that it is written to.
    loaded: Vec<Range<u64>>,
}

impl Firmware {
    pub(crate) fn read(path: &Path) -> Result<Firmware> {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        Firmware::parse(&bytes).with_context(|| format!("{}: not an ELF file", path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Firmware> {
        let file = File::parse(bytes)?;
        let sections = file
            .sections()
            .map(|section| Ok((section.name()?.to_owned(), section.size())));
        let symbols = file
            .symbols()
            .map(|symbol| Ok((symbol.name()?.to_owned(), symbol.address(), symbol.size())));
        let header = elf::FileHeader32::<Endianness>::parse(bytes)?;
        let endian = header.endian()?;
        let segments = header.program_headers(endian, bytes)?.iter();
        let loaded = segments
            .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
            .map(|segment| {
                let start = u64::from(segment.p_paddr(endian));
                start..start + u64::from(segment.p_filesz(endian))
            })
            .filter(|range| !range.is_empty())
            .collect();
        Ok(Firmware {
            sections: sections.collect::<Result<_, object::Error>>()?,
            symbols: symbols.collect::<Result<_, object::Error>>()?,
            loaded,
        })
    }

    /// What is written into memory or flash, by the addresses that it is written to.
    pub(crate) fn loaded(&self) -> &[Range<u64>] {
        &self.loaded
    }

    /// Bytes of code.
    pub(crate) fn text(&self) -> u64 {
        self.section(".text")
    }

    /// Bytes of constants, an embedded image among them.
    pub(crate) fn rodata(&self) -> u64 {
        self.section(".rodata")
    }

    /// Symbols of `core::panicking`: a way to panic was linked.
    pub(crate) fn panics(&self) -> impl Iterator<Item = &str> {
        // Both of rustc's manglings write a path's element as its length and its name.
        self.symbols
            .iter()
            .map(|(name, ..)| name.as_str())
            .filter(|name| name.contains("4core9panicking"))
    }

    /// Where the first function lies whose symbol is as `wanted`; without the bit that says Thumb.
    pub(crate) fn address(&self, wanted: impl Fn(&str) -> bool) -> Option<u64> {
        let found = self.symbols.iter().find(|(name, ..)| wanted(name));
        found.map(|(_, address, _)| address & !1)
    }

    /// Bytes of the compiler's routines that copy, clear and compare memory: a firmware has them as soon as it does so with more
    /// than a few words.
    pub(crate) fn memory_routines(&self) -> u64 {
        // Some have several names.
        let routines: BTreeMap<u64, u64> = (self.symbols.iter())
            .filter(|(name, ..)| is_memory_routine(name))
            .map(|&(_, address, len)| (address & !1, len))
            .collect();
        routines.values().sum()
    }

    /// A section the linker left out has no bytes.
    fn section(&self, name: &str) -> u64 {
        self.sections.get(name).copied().unwrap_or(0)
    }
}

fn is_memory_routine(name: &str) -> bool {
    let name = name.strip_prefix("__aeabi_").unwrap_or(name);
    let name = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
    // Both of rustc's manglings write a path's element as its length and its name.
    ["memcpy", "memmove", "memset", "memclr", "memcmp"].contains(&name)
        || name.contains("17compiler_builtins3mem")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 32-bit little-endian ARM ELF file with the given sections, as the specification lays it out.
    fn elf(sections: &[(&str, u32)]) -> Vec<u8> {
        let mut names = vec![0];
        let mut headers = vec![[0u32; 10]];
        for &(name, size) in sections {
            // SHT_NOBITS: a size without contents.
            headers.push([names.len() as u32, 8, 0, 0, 52, size, 0, 0, 1, 0]);
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        let own = names.len() as u32;
        names.extend_from_slice(b".shstrtab\0");
        headers.push([own, 3, 0, 0, 52, names.len() as u32, 0, 0, 1, 0]);
        names.resize(names.len().next_multiple_of(4), 0);

        let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        for half in [2u16, 40] {
            file.extend(half.to_le_bytes());
        }
        for word in [1u32, 0, 0, 52 + names.len() as u32, 0] {
            file.extend(word.to_le_bytes());
        }
        for half in [
            52u16,
            0,
            0,
            40,
            headers.len() as u16,
            headers.len() as u16 - 1,
        ] {
            file.extend(half.to_le_bytes());
        }
        file.extend(names);
        file.extend(headers.iter().flatten().flat_map(|word| word.to_le_bytes()));
        file
    }

    #[test]
    fn sizes_are_those_of_the_section_headers() {
        let firmware = Firmware::parse(&elf(&[(".text", 1234), (".rodata", 56)])).unwrap();
        assert_eq!((firmware.text(), firmware.rodata()), (1234, 56));
        assert_eq!(Firmware::parse(&elf(&[(".text", 8)])).unwrap().rodata(), 0);
        assert!(Firmware::parse(b"not an ELF file at all").is_err());
    }

    #[test]
    fn both_manglings_of_a_panic_are_found() {
        let symbols = [
            "_ZN4core9panicking18panic_bounds_check17h0123456789abcdefE",
            "_RNvNtCs1234_4core9panicking5panic",
            "_ZN15consort_runtime5image5Image11new_checked17h0123456789abcdefE",
        ];
        let firmware = Firmware {
            loaded: Vec::new(),
            sections: BTreeMap::new(),
            symbols: symbols.map(|name| (name.to_owned(), 0, 0)).to_vec(),
        };
        assert_eq!(firmware.panics().collect::<Vec<_>>(), symbols[..2]);
    }

    #[test]
    fn memory_routines_are_known_by_every_name() {
        for name in [
            "memcpy",
            "__aeabi_memcpy4",
            "__aeabi_memclr8",
            "_ZN17compiler_builtins3mem6memcpy17h0123456789abcdefE",
            "_RNvNtCs0_17compiler_builtins3mem6memcpy",
        ] {
            assert!(is_memory_routine(name), "{name}");
        }
        for name in ["act", "memcpy_of_mine", "_ZN15consort_runtime6policy"] {
            assert!(!is_memory_routine(name), "{name}");
        }
    }
}

//! Who calls whom in a linked firmware, read from the relocations that `--emit-relocs` keeps and from the calls themselves.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use object::elf::{R_ARM_ABS32, R_RISCV_PCREL_LO12_I, R_RISCV_PCREL_LO12_S, RelocationType};
use object::{
    File, Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SectionKind,
    SymbolKind,
};

use crate::branch::Code;

/// Functions and constants, and what each refers to: calls, jumps and addresses alike, so that a call through a pointer is
/// counted at whoever takes the function's address. Too much rather than too little.
#[derive(Default)]
pub(crate) struct Graph {
    names: BTreeMap<u64, String>,
    references: BTreeMap<u64, BTreeSet<u64>>,
}

/// A function or a constant: where it starts and ends.
struct Node {
    start: u64,
    end: u64,
}

impl Graph {
    /// # Errors
    ///
    /// When the file was linked without `--emit-relocs`, or refers to something that cannot be told.
    pub(crate) fn read(file: &File<'_>) -> Result<Graph> {
        let (nodes, names) = nodes(file)?;
        let containing = |address: u64| {
            let after = nodes.partition_point(|node| node.start <= address);
            let node = nodes.get(after.checked_sub(1)?)?;
            (address < node.end).then_some(node)
        };
        let mut references = BTreeMap::<_, BTreeSet<_>>::new();
        for section in file.sections().filter(is_loaded) {
            for (place, relocation) in section.relocations() {
                let RelocationFlags::Elf { r_type } = relocation.flags() else {
                    bail!("not an ELF relocation")
                };
                if is_same_place(file, r_type) {
                    continue;
                }
                let RelocationTarget::Symbol(symbol) = relocation.target() else {
                    continue;
                };
                let symbol = file.symbol_by_index(symbol)?;
                let target = match symbol.kind() {
                    // An offset into a section: of an address it is in the word itself, elsewhere beside the relocation.
                    SymbolKind::Section if is_arm(file) => {
                        ensure!(
                            r_type == R_ARM_ABS32,
                            "at {place:#x} a jump of type {r_type} to a nameless place"
                        );
                        let word = section.data_range(place, 4)?;
                        let word = word.context("a relocation outside its section")?;
                        u64::from(u32::from_le_bytes(word.try_into()?))
                    }
                    SymbolKind::Section => {
                        symbol.address().wrapping_add_signed(relocation.addend())
                    }
                    _ => symbol.address(),
                };
                let target = target & !u64::from(is_arm(file));
                let (Some(from), Some(to)) = (containing(place), containing(target)) else {
                    continue;
                };
                // Into the middle of code lead jumps within a function and the tables they use, to its own start a loop.
                let whole = to.start == target || !names[&to.start].1;
                if whole && from.start != to.start {
                    references.entry(from.start).or_default().insert(to.start);
                }
            }
        }
        ensure!(
            !references.is_empty(),
            "linked without --emit-relocs: no relocation is left"
        );
        let code = match is_arm(file) {
            true => Code::Thumb,
            false => Code::RiscV32,
        };
        for section in file
            .sections()
            .filter(|section| section.kind() == SectionKind::Text)
        {
            let (bytes, start) = (section.data()?, section.address());
            // Every half-word, without following the instructions: a constant that looks like a call of a function's start
            // would be one call too many.
            for offset in (0..bytes.len()).step_by(2) {
                let place = start + offset as u64;
                let Some(target) = code.call(&bytes[offset..], place) else {
                    continue;
                };
                if let Some(from) = containing(place)
                    && names.get(&target).is_some_and(|&(_, code)| code)
                {
                    references.entry(from.start).or_default().insert(target);
                }
            }
        }
        Ok(Graph {
            names: names
                .into_iter()
                .map(|(start, (name, _))| (start, name))
                .collect(),
            references,
        })
    }

    /// The names along a way from `function` that comes back to where it was; none where nothing that it calls, directly or
    /// not, can be at work twice.
    pub(crate) fn cycle(&self, function: &str) -> Result<Option<Vec<&str>>> {
        let start = self.names.iter().find(|(_, name)| *name == function);
        let (&start, _) = start.with_context(|| format!("no function `{function}`"))?;
        let mut path = Vec::new();
        let found = self.walk(start, &mut path, &mut BTreeSet::new());
        Ok(found.then(|| path.iter().map(|node| self.names[node].as_str()).collect()))
    }

    /// Whether a way from `node` meets one of `path`; `path` is then that way.
    fn walk(&self, node: u64, path: &mut Vec<u64>, done: &mut BTreeSet<u64>) -> bool {
        let again = path.contains(&node);
        path.push(node);
        if again {
            return true;
        }
        for &next in self.references.get(&node).into_iter().flatten() {
            if !done.contains(&next) && self.walk(next, path, done) {
                return true;
            }
        }
        path.pop();
        done.insert(node);
        false
    }
}

/// By address: every function and constant; its name, and whether it is code.
type Names = BTreeMap<u64, (String, bool)>;

fn nodes(file: &File<'_>) -> Result<(Vec<Node>, Names)> {
    let mut names = Names::new();
    let mut sizes = BTreeMap::<u64, u64>::new();
    for symbol in file.symbols() {
        let code = match symbol.kind() {
            SymbolKind::Text => true,
            SymbolKind::Data => false,
            _ => continue,
        };
        let start = symbol.address() & !u64::from(code && is_arm(file));
        let size = sizes.entry(start).or_default();
        *size = symbol.size().max(*size);
        // Of several names, `main` is the one that is asked for.
        let name = symbol.name()?;
        let entry = names
            .entry(start)
            .or_insert_with(|| (name.to_owned(), code));
        if name == "main" {
            *entry = (name.to_owned(), code);
        }
    }
    let starts: Vec<u64> = sizes.keys().copied().collect();
    let nodes = sizes.iter().enumerate().map(|(index, (&start, &size))| {
        // Assembly often says no size: it then ends where the next begins.
        let next = starts.get(index + 1).copied().unwrap_or(u64::MAX);
        let end = if size == 0 { next } else { start + size };
        Node { start, end }
    });
    Ok((nodes.collect(), names))
}

fn is_loaded<'a>(section: &impl ObjectSection<'a>) -> bool {
    matches!(
        section.kind(),
        SectionKind::Text | SectionKind::ReadOnlyData | SectionKind::Data
    )
}

fn is_arm(file: &File<'_>) -> bool {
    file.architecture() == object::Architecture::Arm
}

/// The lower half of an address refers to the instruction that has the upper half.
fn is_same_place(file: &File<'_>, r_type: RelocationType) -> bool {
    !is_arm(file) && [R_RISCV_PCREL_LO12_I, R_RISCV_PCREL_LO12_S].contains(&r_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(references: &[(u64, u64)]) -> Graph {
        let mut graph = Graph::default();
        for &(from, to) in references {
            for node in [from, to] {
                let name = if node == 0 {
                    "main".to_owned()
                } else {
                    node.to_string()
                };
                graph.names.insert(node, name);
            }
            graph.references.entry(from).or_default().insert(to);
        }
        graph
    }

    #[test]
    fn a_way_back_is_found_and_a_second_way_to_the_same_place_is_none() {
        let diamond = [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)];
        assert_eq!(graph(&diamond).cycle("main").unwrap(), None);
        let back = [&diamond[..], &[(4, 2)]].concat();
        let expected = ["main", "1", "3", "4", "2", "3"];
        assert_eq!(graph(&back).cycle("main").unwrap().unwrap(), expected);
        let itself = [&diamond[..], &[(2, 2)]].concat();
        assert_eq!(
            graph(&itself).cycle("main").unwrap().unwrap(),
            ["main", "2", "2"]
        );
        let unreached = [&diamond[..], &[(7, 7)]].concat();
        assert_eq!(graph(&unreached).cycle("main").unwrap(), None);
        assert!(graph(&diamond).cycle("absent").is_err());
    }
}

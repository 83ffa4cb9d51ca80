//! Who calls whom in a linked firmware, read from the relocations that `--emit-relocs` keeps and from the calls themselves.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use object::elf::{
    R_ARM_ABS32, R_ARM_THM_JUMP19, R_ARM_THM_JUMP24, R_ARM_THM_PC9, R_ARM_THM_PC11, R_ARM_THM_PC22,
    R_RISCV_BRANCH, R_RISCV_CALL, R_RISCV_CALL_PLT, R_RISCV_JAL, R_RISCV_PCREL_LO12_I,
    R_RISCV_PCREL_LO12_S, R_RISCV_RVC_BRANCH, R_RISCV_RVC_JUMP, RelocationType,
};
use object::{
    File, Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SectionKind,
    SymbolKind,
};

use crate::branch::Code;

/// Functions and constants, and what each refers to.
#[derive(Default)]
pub(crate) struct Graph {
    names: BTreeMap<u64, String>,
    references: BTreeMap<u64, BTreeSet<u64>>,
    /// Who has a function's address, and could hand it to whoever then calls through it.
    pointers: BTreeMap<u64, u64>,
}

/// Why calls may be nested without a bound.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unbounded<'a> {
    /// The names along a way that comes back to where it was.
    Recursion(Vec<&'a str>),
    /// The first has the address of the second: a call through a pointer cannot be followed.
    Pointer(&'a str, &'a str),
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
        let mut pointers = BTreeMap::new();
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
                if to.start == target && names[&target].1 && !is_branch(file, r_type) {
                    pointers.insert(from.start, target);
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
            let mut offset = 0;
            while offset < bytes.len() {
                let place = start + offset as u64;
                let here = &bytes[offset..];
                // Where a function begins, so does an instruction, whatever lies before it.
                let begins = nodes.partition_point(|node| node.start <= place);
                let room = nodes
                    .get(begins)
                    .map_or(u64::MAX, |node| node.start - place);
                offset += code.len(here).min(room.try_into().unwrap_or(usize::MAX));
                let Some(target) = code.call(here, place) else {
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
            pointers,
        })
    }

    /// Whether something that `function` calls, directly or not, may be at work twice; none where the stack is bounded.
    pub(crate) fn unbounded(&self, function: &str) -> Result<Option<Unbounded<'_>>> {
        let start = self.names.iter().find(|(_, name)| *name == function);
        let (&start, _) = start.with_context(|| format!("no function `{function}`"))?;
        let name = |node: &u64| self.names[node].as_str();
        let (mut path, mut done) = (Vec::new(), BTreeSet::new());
        if self.walk(start, &mut path, &mut done) {
            return Ok(Some(Unbounded::Recursion(path.iter().map(name).collect())));
        }
        let taken = self.pointers.iter().find(|(from, _)| done.contains(from));
        Ok(taken.map(|(from, to)| Unbounded::Pointer(name(from), name(to))))
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

/// Whether a relocation is of a call or a jump; every other one makes an address.
fn is_branch(file: &File<'_>, r_type: RelocationType) -> bool {
    let branches: &[RelocationType] = match is_arm(file) {
        true => &[
            R_ARM_THM_PC22,
            R_ARM_THM_JUMP24,
            R_ARM_THM_JUMP19,
            R_ARM_THM_PC11,
            R_ARM_THM_PC9,
        ],
        false => &[
            R_RISCV_CALL,
            R_RISCV_CALL_PLT,
            R_RISCV_JAL,
            R_RISCV_BRANCH,
            R_RISCV_RVC_JUMP,
            R_RISCV_RVC_BRANCH,
        ],
    };
    branches.contains(&r_type)
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
        let recursion = |references: &[(u64, u64)]| {
            let graph = graph(references);
            let found = graph.unbounded("main").unwrap();
            found.map(|found| match found {
                Unbounded::Recursion(way) => way.join(" "),
                Unbounded::Pointer(..) => panic!("{found:?}"),
            })
        };
        let diamond = [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)];
        assert_eq!(recursion(&diamond), None);
        let with = |more| recursion(&[&diamond[..], &[more]].concat());
        assert_eq!(with((4, 2)).unwrap(), "main 1 3 4 2 3");
        assert_eq!(with((2, 2)).unwrap(), "main 2 2");
        assert_eq!(with((7, 7)), None);
        let mut graph = graph(&diamond);
        graph.pointers.insert(7, 1);
        assert_eq!(graph.unbounded("main").unwrap(), None);
        graph.pointers.insert(3, 2);
        let pointer = Unbounded::Pointer("3", "2");
        assert_eq!(graph.unbounded("main").unwrap(), Some(pointer));
        assert!(graph.unbounded("absent").is_err());
    }
}

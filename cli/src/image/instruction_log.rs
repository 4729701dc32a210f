//! What a kernel spent its instructions on: QEMU's log of every instruction, counted in a tree of calls.
//!
//! The log (`-d exec,nochain`, one instruction to a block) has a line for each instruction:
//!
//! ```text
//! Trace 0: 0x7ff7140604c0 [0000000000000000/0000000000102050/000000b0/ff020201]
//!                                           where it is
//! Stopped execution of TB chain before 0x7ff7140604c0 [0000000000102050]
//!                                      the line before did not count: it will come again
//! ```
//!
//! Calls are found by the addresses where functions begin, not by the kind of instruction. Arrival at a function's first
//! instruction is a call, or a jump, from the function before. Arrival in the middle of a function is a return, if that
//! function has made a call; otherwise it is an interrupt. So tail calls, interrupts and kernels in any language are counted
//! right. If a function calls itself, directly or through others, the outermost call has all the instructions.
//!
//! Counts are kept for each [`Part`] of the run in a tree of calls with at most [`MOST_NODES`] nodes; the log itself is not
//! kept.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, BufRead};
use std::ops::Range;

/// More different ways to be called are counted as their callers.
const MOST_NODES: usize = 1 << 18;
/// Calls deeper than this are counted as their callers.
const DEEPEST: usize = 4096;

/// A child that has this share, in percent, of what it is a child of is no stage but has stages.
const WHOLE: u64 = 90;

/// The function that the run before, in and after `main` is told apart by, and every other.
pub struct Functions {
    /// Where each begins, and its name, in order. The last is where they end, and has none.
    starts: Vec<(u64, String)>,
    main: Option<usize>,
    /// Code that runs at an address of its own before it is mapped at the linked one: from, and how far.
    moved: Vec<(Range<u64>, u64)>,
}

impl Functions {
    /// Of the image that has these; `main` begins at one of them. `moved` are ranges of physical addresses, and
    /// what to add for the linked ones.
    pub fn new(
        functions: BTreeMap<u64, String>,
        main: Option<u64>,
        moved: Vec<(Range<u64>, u64)>,
    ) -> Functions {
        let starts: Vec<_> = functions.into_iter().collect();
        let main = main.and_then(|main| starts.binary_search_by_key(&main, |(at, _)| *at).ok());
        Functions { starts, main, moved }
    }

    /// What function number `number` is called.
    pub fn name(&self, number: usize) -> &str {
        match self.starts.get(number) {
            Some((_, name)) if !name.is_empty() => name,
            _ => "(no symbol)",
        }
    }

    /// Where it begins.
    pub fn address(&self, number: usize) -> u64 {
        self.starts.get(number).map_or(0, |(at, _)| *at)
    }

    fn linked(&self, at: u64) -> u64 {
        let moved = self.moved.iter().find(|(range, _)| range.contains(&at));
        moved.map_or(at, |(_, add)| at.wrapping_add(*add))
    }

    /// The function at `at`: its number and its bytes. What is before the first has the number behind the last.
    fn at(&self, at: u64) -> (usize, Range<u64>) {
        let next = self.starts.partition_point(|(start, _)| *start <= at);
        let end = self.starts.get(next).map_or(u64::MAX, |(start, _)| *start);
        match next.checked_sub(1) {
            Some(number) => (number, self.starts[number].0..end),
            None => (self.starts.len(), 0..end),
        }
    }
}

/// The three parts of a run, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Boot,
    Main,
    After,
}

const PARTS: [Part; 3] = [Part::Boot, Part::Main, Part::After];

struct Node {
    function: usize,
    parent: usize,
    children: Vec<usize>,
    own: u64,
    calls: u64,
    /// How many instructions had run when it was first called.
    first: u64,
}

/// The calls of one part; node 0 is nobody's.
struct Tree {
    nodes: Vec<Node>,
    /// The node of each parent and function: a kernel may call thousands from one place.
    known: HashMap<(usize, usize), usize>,
    /// The node that `main`, or what follows it, was called from or ended in.
    spine: usize,
}

impl Tree {
    fn new() -> Tree {
        let nobody =
            Node { function: usize::MAX, parent: 0, children: vec![], own: 0, calls: 0, first: 0 };
        Tree { nodes: vec![nobody], known: HashMap::new(), spine: 0 }
    }

    fn child(&mut self, parent: usize, function: usize, first: u64) -> Option<usize> {
        let found = self.known.get(&(parent, function)).copied();
        if found.is_some() || self.nodes.len() >= MOST_NODES {
            return found;
        }
        let number = self.nodes.len();
        self.nodes.push(Node { function, parent, children: vec![], own: 0, calls: 0, first });
        self.nodes[parent].children.push(number);
        self.known.insert((parent, function), number);
        Some(number)
    }
}

/// Follows a log.
pub struct Counter<'a> {
    functions: &'a Functions,
    trees: [Tree; 3],
    part: usize,
    /// Who called whom, up to where the processor is: function and node.
    stack: Vec<(usize, usize)>,
    /// Where the innermost is.
    here: Range<u64>,
    total: u64,
    is_cut: bool,
}

impl<'a> Counter<'a> {
    /// Nothing counted yet.
    pub fn new(functions: &'a Functions) -> Counter<'a> {
        let trees = [Tree::new(), Tree::new(), Tree::new()];
        Counter { functions, trees, part: 0, stack: vec![], here: 0..0, total: 0, is_cut: false }
    }

    /// Counts all that comes. What is not a line of the log is passed over.
    pub fn follow(&mut self, mut log: impl BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if log.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            match address(&line) {
                Some(at) => self.step(at),
                None if line.starts_with(b"Stopped execution") => self.take_back(),
                None => {}
            }
        }
    }

    /// One instruction.
    fn step(&mut self, at: u64) {
        let at = self.functions.linked(at);
        if !self.here.contains(&at) || at == self.here.start {
            self.arrive(at);
        }
        self.total = self.total.saturating_add(1);
        if let Some(&(_, node)) = self.stack.last() {
            let own = &mut self.trees[self.part].nodes[node].own;
            *own = own.saturating_add(1);
        }
    }

    fn take_back(&mut self) {
        self.total = self.total.saturating_sub(1);
        if let Some(&(_, node)) = self.stack.last() {
            let own = &mut self.trees[self.part].nodes[node].own;
            *own = own.saturating_sub(1);
        }
    }

    /// The processor is in another function, or at the beginning of one.
    fn arrive(&mut self, at: u64) {
        let (function, range) = self.functions.at(at);
        let is_start = at == range.start;
        self.here = range;
        if self.stack.last().is_some_and(|(innermost, _)| *innermost == function) {
            return;
        }
        match self.stack.iter().rposition(|(known, _)| *known == function) {
            Some(depth) => {
                self.leave(depth.saturating_add(1));
                if let Some(&(_, node)) = self.stack.last() {
                    let calls = &mut self.trees[self.part].nodes[node].calls;
                    *calls = calls.saturating_add(is_start.into());
                }
            }
            None => self.enter(function),
        }
    }

    fn enter(&mut self, function: usize) {
        if self.part == 0 && self.functions.main == Some(function) {
            self.begin(1);
        }
        let parent = self.stack.last().map_or(0, |(_, node)| *node);
        let tree = &mut self.trees[self.part];
        let node = match self.stack.len() < DEEPEST {
            true => tree.child(parent, function, self.total),
            false => None,
        };
        self.is_cut |= node.is_none();
        let Some(node) = node else { return };
        tree.nodes[node].calls = tree.nodes[node].calls.saturating_add(1);
        self.stack.push((function, node));
        if self.part == 1 && self.functions.main == Some(function) {
            tree.spine = node;
        }
    }

    fn leave(&mut self, depth: usize) {
        let left = self.stack.drain(depth..).any(|(known, _)| Some(known) == self.functions.main);
        if left && self.part == 1 {
            self.begin(2);
        }
    }

    /// A new part: its tree begins with the calls that are going on.
    fn begin(&mut self, part: usize) {
        self.trees[self.part].spine = match self.part {
            0 => self.stack.last().map_or(0, |(_, node)| *node),
            _ => self.trees[self.part].spine,
        };
        self.part = part;
        let mut parent = 0;
        for (function, node) in &mut self.stack {
            // The tree is empty and the stack is shallower than it may grow.
            *node = self.trees[part].child(parent, *function, self.total).unwrap_or(parent);
            parent = *node;
        }
        self.trees[part].spine = parent;
    }

    /// What was counted.
    pub fn chart(mut self) -> Chart {
        let mut parts = Vec::new();
        for (number, part) in PARTS.into_iter().enumerate() {
            let tree = &mut self.trees[number];
            let sums = sums(tree);
            if sums[0] == 0 {
                continue;
            }
            // The way to `main` is known; elsewhere what nearly all was spent in has the stages.
            if part != Part::Boot || self.part == 0 {
                tree.spine = descend(tree, &sums);
            }
            parts.push((part, Section { instructions: sums[0], stages: stages(tree, &sums) }));
        }
        let main = self.functions.main.filter(|_| self.part > 0);
        Chart { instructions: self.total, main, is_cut: self.is_cut, parts }
    }
}

/// Where the instruction of a line is.
fn address(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(b"Trace ")?;
    let open = rest.iter().position(|&byte| byte == b'[')?;
    let mut fields = rest.get(open..)?.split(|&byte| byte == b'/');
    let digits = fields.nth(1)?;
    // A line that was cut off where QEMU was stopped has no third field.
    fields.next()?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// For each node, its own instructions and those of all it called.
fn sums(tree: &Tree) -> Vec<u64> {
    let mut sums: Vec<u64> = tree.nodes.iter().map(|node| node.own).collect();
    // A child is younger than its parent.
    for number in (1..sums.len()).rev() {
        let parent = tree.nodes[number].parent;
        sums[parent] = sums[parent].saturating_add(sums[number]);
    }
    sums
}

/// Further along the spine, as long as one child has nearly all.
fn descend(tree: &Tree, sums: &[u64]) -> usize {
    let mut at = tree.spine;
    loop {
        let whole =
            |&&child: &&usize| sums[child].saturating_mul(100) >= sums[0].saturating_mul(WHOLE);
        match tree.nodes[at].children.iter().find(whole) {
            Some(&child) if !tree.nodes[child].children.is_empty() => at = child,
            _ => return at,
        }
    }
}

fn stages(tree: &Tree, sums: &[u64]) -> Vec<Stage> {
    let mut spine = vec![tree.spine];
    while let Some(&at) = spine.last().filter(|&&at| at != 0) {
        spine.push(tree.nodes[at].parent);
    }
    let on_spine: BTreeSet<_> = spine.iter().copied().collect();
    let mut stages = Vec::new();
    for &number in &spine {
        let node = &tree.nodes[number];
        if node.own > 0 {
            let (function, first, calls) = (node.function, node.first, node.calls.max(1));
            stages.push(Stage {
                function,
                calls,
                first,
                instructions: node.own,
                functions: vec![],
            });
        }
        let children = node.children.iter().filter(|child| !on_spine.contains(child));
        stages.extend(children.filter(|&&child| sums[child] > 0).map(|&child| {
            let Node { function, calls, first, .. } = tree.nodes[child];
            let functions = own_counts(tree, child);
            Stage { function, calls, first, instructions: sums[child], functions }
        }));
    }
    stages.sort_by_key(|stage| stage.first);
    stages
}

/// The instructions of each function below `top`, the busiest first.
fn own_counts(tree: &Tree, top: usize) -> Vec<(usize, u64)> {
    let mut counts: BTreeMap<usize, u64> = BTreeMap::new();
    let mut open = vec![top];
    while let Some(number) = open.pop() {
        let node = &tree.nodes[number];
        let count = counts.entry(node.function).or_default();
        *count = node.own.saturating_add(*count);
        open.extend(&node.children);
    }
    let mut counts: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    counts.sort_by_key(|&(function, count)| (std::cmp::Reverse(count), function));
    counts
}

/// One step of a part: a function that the kernel's way to `main` leads through, its own instructions only; or
/// one that is called on the way, with all that it calls.
#[derive(Debug, PartialEq, Eq)]
pub struct Stage {
    pub function: usize,
    pub calls: u64,
    /// How many instructions had run when it began.
    pub first: u64,
    pub instructions: u64,
    /// The functions in it, the busiest first; empty for a function of the way itself.
    pub functions: Vec<(usize, u64)>,
}

/// The stages of one part.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    pub instructions: u64,
    pub stages: Vec<Stage>,
}

/// What a run was spent on.
#[derive(Debug, PartialEq, Eq)]
pub struct Chart {
    pub instructions: u64,
    /// The function that `main` is, if it is known and was reached.
    pub main: Option<usize>,
    /// Whether some calls are counted as their callers, as there were too many.
    pub is_cut: bool,
    pub parts: Vec<(Part, Section)>,
}

impl Chart {
    /// What a part is called.
    pub fn title(&self, part: Part) -> &'static str {
        match part {
            _ if self.main.is_none() => "entry to end",
            Part::Boot => "entry to main",
            Part::Main => "main",
            Part::After => "after main",
        }
    }
}

#[cfg(test)]
mod tests;

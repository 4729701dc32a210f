//! The deepest chain of calls, by the frames of its functions.
//!
//! Calls and jumps whose target is known make a graph. A function's depth is the largest of its own frame
//! and, for each call, its frame there plus the return address plus the depth of the called function. A
//! call back to a function that is on the chain already is left out: recursion has no bound.

use crate::program::Program;

/// The deepest chain of calls.
#[derive(Clone, Debug)]
pub struct Deepest {
    /// How many bytes it takes.
    pub bytes: u64,
    /// The functions, from the outermost, by index, each with what it adds.
    pub path: Vec<(usize, u64)>,
    /// Whether a function on the way calls back to one above it.
    pub has_recursion: bool,
}

#[derive(Clone, Copy)]
enum State {
    New,
    /// On the chain that is being followed.
    Open,
    Done,
}

/// The deepest chain; `None` if there is no code.
pub fn deepest(program: &Program<'_>) -> Option<Deepest> {
    let graph = Graph::new(program);
    let start = (0..graph.bytes.len()).max_by_key(|&index| graph.bytes[index])?;
    let mut path = Vec::new();
    let mut at = Some(start);
    let mut has_recursion = false;
    while let Some(index) = at {
        has_recursion |= graph.calls_back[index];
        let below = graph.next[index].map_or(0, |next| graph.bytes[next]);
        path.push((index, graph.bytes[index].saturating_sub(below)));
        at = graph.next[index];
    }
    Some(Deepest { bytes: graph.bytes[start], path, has_recursion })
}

struct Graph<'a, 'data> {
    program: &'a Program<'data>,
    state: Vec<State>,
    bytes: Vec<u64>,
    next: Vec<Option<usize>>,
    calls_back: Vec<bool>,
}

impl<'a, 'data> Graph<'a, 'data> {
    fn new(program: &'a Program<'data>) -> Self {
        let count = program.functions.len();
        let mut graph = Self {
            program,
            state: vec![State::New; count],
            bytes: vec![0; count],
            next: vec![None; count],
            calls_back: vec![false; count],
        };
        (0..count).for_each(|index| graph.visit(index));
        graph
    }

    /// Depth first, with a stack of our own: chains in a hostile file can be long.
    fn visit(&mut self, start: usize) {
        if !matches!(self.state[start], State::New) {
            return;
        }
        self.open(start);
        // Each function on the chain, and which of its edges is next.
        let mut chain = vec![(start, 0_usize)];
        while let Some((index, edge)) = chain.last_mut() {
            let (function, at) = (*index, *edge);
            *edge = at.saturating_add(1);
            let Some(edge) = self.program.facts(function).edges.get(at) else {
                self.state[function] = State::Done;
                chain.pop();
                continue;
            };
            let Some(callee) = self.program.callee(edge) else { continue };
            match self.state[callee] {
                State::New => {
                    // And this edge once more, when the depth of the callee is known.
                    if let Some((_, edge)) = chain.last_mut() {
                        *edge = at;
                    }
                    self.open(callee);
                    chain.push((callee, 0));
                }
                State::Open => self.calls_back[function] = true,
                State::Done => self.lengthen(function, at, callee),
            }
        }
    }

    fn open(&mut self, index: usize) {
        self.state[index] = State::Open;
        let is_readable = self.program.is_readable(index);
        self.bytes[index] = if is_readable { self.program.facts(index).frame_bytes } else { 0 };
    }

    fn lengthen(&mut self, index: usize, edge: usize, callee: usize) {
        let edge = self.program.facts(index).edges[edge];
        let return_address = if edge.is_call { 8 } else { 0 };
        let bytes = edge.depth.saturating_add(return_address).saturating_add(self.bytes[callee]);
        if bytes > self.bytes[index] {
            self.bytes[index] = bytes;
            self.next[index] = Some(callee);
        }
    }
}

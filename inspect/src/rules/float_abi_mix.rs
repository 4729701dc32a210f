//! Floating-point numbers passed in one kind of register and expected in another.

use std::collections::HashMap;

use iced_x86::{Decoder, DecoderOptions, Instruction, InstructionInfoFactory, OpAccess, Register};

use super::{Report, Rule, Severity, Subject};
use crate::disassembly::Edge;
use crate::functions::Function;
use crate::libcalls::{self, Shape};
use crate::program::{Program, Source};

pub(super) const RULE: Rule = Rule {
    name: "float-abi-mix",
    severity: Severity::Error,
    summary: "soft-float code calls a hard-float function, or the other way round",
    explanation: "Code built with soft-float passes floating-point numbers in general-purpose registers; all other \
x86_64 code passes them in vector registers. Nothing in an object file says which, so the linker joins both, and \
`3.0 * 2.0` gives garbage without a message. It happens when `-C target-feature=+soft-float` meets a \
prebuilt library: its __muldf3 expects vector registers. Here the code of each such function, and of its \
callers, is looked at for the registers it uses. Let one build make everything: freestone-math with the same \
flags as the kernel, or a `none` target whose core is soft-float as well.",
    matters_for_boot: false,
    check,
};

/// How many functions are looked at to tell what one expects that only hands its arguments on.
const FOLLOWED: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Abi {
    /// In vector registers.
    Hard,
    /// In general-purpose registers.
    Soft,
}

fn check(subject: &Subject<'_>, report: &mut Report) {
    let program = subject.program();
    if program.source != Source::Symbols {
        report.cannot("the image has no symbols: float functions cannot be found");
        return;
    }
    let mut hands_on = HashMap::new();
    let definitions: HashMap<usize, (Shape, Abi)> = (0..program.functions.len())
        .filter_map(|index| {
            let shape = program.functions[index].names().find_map(libcalls::float_shape)?;
            Some((index, (shape, definition_abi(program, index, &mut hands_on)?)))
        })
        .collect();
    if definitions.is_empty() {
        return;
    }
    for caller in 0..program.functions.len() {
        let mut uses = None;
        for edge in &program.facts(caller).edges {
            let Some(callee) = program.callee(edge) else { continue };
            let Some((shape, abi)) = definitions.get(&callee) else { continue };
            let uses = uses.get_or_insert_with(|| Uses::of(program, caller));
            if let Some(used) = uses.abi(edge, *shape).filter(|used| used != abi) {
                let name = &program.label(callee).name;
                let message = match used {
                    Abi::Soft => format!(
                        "passes floats to `{name}` in general-purpose registers, which expects vector registers"
                    ),
                    Abi::Hard => format!(
                        "passes floats to `{name}` in vector registers, which expects general-purpose registers"
                    ),
                };
                report.add(Severity::Error, message).function(program, caller).at(edge.at);
            }
        }
    }
}

/// The functions that one hands on to, each once; `None` if one of them is not known, or if they are too many
/// to be followed.
fn callees(program: &Program<'_>, index: usize) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    for edge in &program.facts(index).edges {
        let callee = program.callee(edge)?;
        if !found.contains(&callee) {
            found.push(callee);
        }
        if found.len() > FOLLOWED {
            return None;
        }
    }
    Some(found)
}

/// A function with floats in vector registers touches one, or hands all on to a function that does. One
/// that does neither has them elsewhere.
fn definition_abi(
    program: &Program<'_>,
    index: usize,
    hands_on: &mut HashMap<usize, Option<Vec<usize>>>,
) -> Option<Abi> {
    let mut found = vec![index];
    let mut next = 0..;
    while let Some(&index) = next.next().and_then(|next: usize| found.get(next)) {
        let facts = program.facts(index);
        if !program.is_readable(index) || facts.unknown_calls.is_any() {
            return None;
        }
        if facts.vector.is_any() {
            return Some(Abi::Hard);
        }
        // Once for all who lead here: a function can have as many edges as it has bytes.
        let callees = hands_on.entry(index).or_insert_with(|| callees(program, index));
        for callee in callees.as_ref()? {
            if !found.contains(callee) {
                found.push(*callee);
            }
        }
        if found.len() > FOLLOWED {
            return None;
        }
    }
    Some(Abi::Soft)
}

/// What a caller does with the registers that floats are passed in.
enum Uses {
    /// Its code could not be read.
    Unknown,
    /// It touches vector registers, so it was built to use them.
    Vectors,
    /// It does not, but may hand on what it was given. It is soft-float for sure if it puts arguments into
    /// general-purpose registers, or takes the result from one.
    General {
        /// Where the first argument's register is first written.
        argument: Option<u64>,
        /// Where the result's register is read or written, and whether it is read.
        result: Vec<(u64, bool)>,
    },
}

impl Uses {
    /// Reads the caller's code, once for all of its calls.
    fn of(program: &Program<'_>, caller: usize) -> Uses {
        if !program.is_readable(caller) {
            return Uses::Unknown;
        }
        if program.facts(caller).vector.is_any() {
            return Uses::Vectors;
        }
        let (mut argument, mut result) = (None, Vec::new());
        walk(&program.functions[caller], |at, uses| {
            if argument.is_none() && uses(Register::RDI, true) {
                argument = Some(at);
            }
            let is_read = uses(Register::RAX, false);
            if is_read || uses(Register::RAX, true) {
                result.push((at, is_read));
            }
        });
        Uses::General { argument, result }
    }

    /// How the call at `edge` passes floats, if that can be told.
    fn abi(&self, edge: &Edge, shape: Shape) -> Option<Abi> {
        let (argument, result) = match self {
            Uses::Unknown => return None,
            Uses::Vectors => return Some(Abi::Hard),
            Uses::General { argument, result } => (argument, result),
        };
        let writes_argument = argument.is_some_and(|at| at <= edge.at);
        let next = result.partition_point(|(at, _)| *at <= edge.at);
        let reads_result = result.get(next).is_some_and(|(_, is_read)| *is_read);
        let is_soft = (shape.takes_float && writes_argument)
            || (shape.gives_float && edge.is_call && reads_result);
        is_soft.then_some(Abi::Soft)
    }
}

/// Shows where each instruction is, with a way to ask whether it reads (or writes) a register.
fn walk(function: &Function<'_>, mut visit: impl FnMut(u64, &dyn Fn(Register, bool) -> bool)) {
    let mut decoder = Decoder::with_ip(64, function.code, function.address, DecoderOptions::NONE);
    let mut factory = InstructionInfoFactory::new();
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        let info = factory.info(&instruction);
        let uses = |register: Register, writes: bool| {
            info.used_registers().iter().any(|used| {
                let is_write = matches!(
                    used.access(),
                    OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite
                );
                let is_read = matches!(
                    used.access(),
                    OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite
                );
                used.register().full_register() == register
                    && if writes { is_write } else { is_read }
            })
        };
        visit(instruction.ip(), &uses);
    }
}

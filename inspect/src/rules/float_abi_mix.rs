//! Floating-point numbers passed in one kind of register and expected in another.

use std::collections::HashMap;

use iced_x86::{Decoder, DecoderOptions, Instruction, InstructionInfoFactory, OpAccess, Register};

use super::{Report, Rule, Severity, Subject};
use crate::disassembly::Edge;
use crate::functions::Function;
use crate::libcalls::{self, Shape};
use crate::names;
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
    let definitions: HashMap<usize, (Shape, Abi)> = (0..program.functions.len())
        .filter_map(|index| {
            let shape = program.functions[index].names().find_map(libcalls::float_shape)?;
            Some((index, (shape, definition_abi(program, index)?)))
        })
        .collect();
    if definitions.is_empty() {
        return;
    }
    for (caller, function) in program.functions.iter().enumerate() {
        for edge in &program.facts(caller).edges {
            let Some(callee) = program.callee(edge) else { continue };
            let Some((shape, abi)) = definitions.get(&callee) else { continue };
            let Some(used) = caller_abi(program, caller, edge, *shape) else { continue };
            if used != *abi {
                let name = names::demangled(&program.functions[callee].name);
                let message = match used {
                    Abi::Soft => format!(
                        "passes floats to `{name}` in general-purpose registers, which expects vector registers"
                    ),
                    Abi::Hard => format!(
                        "passes floats to `{name}` in vector registers, which expects general-purpose registers"
                    ),
                };
                report.add(Severity::Error, message).function(function).at(edge.at);
            }
        }
    }
}

/// A function with floats in vector registers touches one, or hands all on to a function that does. One
/// that does neither has them elsewhere.
fn definition_abi(program: &Program<'_>, index: usize) -> Option<Abi> {
    let mut found = vec![index];
    let mut next = 0;
    while let Some(&index) = found.get(next) {
        let facts = program.facts(index);
        if !program.is_readable(index) || facts.unknown_calls.is_any() {
            return None;
        }
        if facts.vector.is_any() {
            return Some(Abi::Hard);
        }
        for edge in &facts.edges {
            let callee = program.callee(edge)?;
            if !found.contains(&callee) {
                found.push(callee);
            }
            if found.len() > FOLLOWED {
                return None;
            }
        }
        next += 1;
    }
    Some(Abi::Soft)
}

/// A caller that touches vector registers was built to use them. One that does not may still hand on what
/// it was given; it is soft-float for sure if it puts arguments into general-purpose registers, or
/// takes the result from one.
fn caller_abi(program: &Program<'_>, caller: usize, edge: &Edge, shape: Shape) -> Option<Abi> {
    let facts = program.facts(caller);
    if !program.is_readable(caller) {
        return None;
    }
    if facts.vector.is_any() {
        return Some(Abi::Hard);
    }
    let function = &program.functions[caller];
    let is_soft = (shape.takes_float && writes_argument(function, edge.at))
        || (shape.gives_float && edge.is_call && reads_result(function, edge.at));
    is_soft.then_some(Abi::Soft)
}

/// Whether the first argument register is written before the call at `until`.
fn writes_argument(function: &Function<'_>, until: u64) -> bool {
    let mut written = false;
    walk(function, |instruction, uses| {
        written |= uses(Register::RDI, true);
        instruction.ip() < until && !written
    });
    written
}

/// Whether the result register is read after the call at `from`, before it is written.
fn reads_result(function: &Function<'_>, from: u64) -> bool {
    let mut read = false;
    walk(function, |instruction, uses| {
        if instruction.ip() <= from {
            return true;
        }
        read = uses(Register::RAX, false);
        !read && !uses(Register::RAX, true)
    });
    read
}

/// Shows each instruction, with a way to ask whether it reads (or writes) a register, while told to
/// go on.
fn walk(
    function: &Function<'_>,
    mut visit: impl FnMut(&Instruction, &dyn Fn(Register, bool) -> bool) -> bool,
) {
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
        if !visit(&instruction, &uses) {
            return;
        }
    }
}

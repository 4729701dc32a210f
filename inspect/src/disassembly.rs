//! What a function's machine code does, for x86_64: registers, stack, calls.
//!
//! The code is read once, in the order of addresses, with the `iced-x86` decoder. How deep the stack is
//! is followed along: pushes, `sub rsp`, frame pointers. Where the code goes on after a jump, the depth is
//! that of a branch to this place seen before, else the deepest so far; compilers lay out their
//! code so that this is right but for hand-written tricks.
//!
//! **The red zone** is the 128 bytes below the stack pointer, which the System V ABI lets functions use
//! that call nobody. Counted are memory operands (`lea` apart, as it touches no memory):
//!
//! - at `rsp − N`, in any function: compilers emit that for nothing else;
//! - at `rbp − N`, where `rbp` is the frame pointer of a function without calls, below the lowest place
//!   that pushes and `sub rsp` have made;
//! - at `rsp + index − N`, in a function without calls and without a frame. With a frame it can be the
//!   frame's own array, and is counted as doubtful.
//!
//! Not seen is an address below `rsp` that was computed into another register.

use std::collections::HashMap;

use iced_x86::{CpuidFeature, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind};
use iced_x86::{OpAccess, Register};

use crate::elf::Object;
use crate::functions::Function;

/// How far below the stack pointer the ABI's red zone reaches.
pub const RED_ZONE: i64 = 128;

/// The model-specific register with the base of FS.
const IA32_FS_BASE: u32 = 0xc000_0100;

/// What a function's code does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Accesses to the red zone.
    pub red_zone: Seen,
    /// What may be one: an indexed access in a function with a frame.
    pub red_zone_doubtful: Seen,
    /// Addresses below the stack pointer that are only computed.
    pub red_zone_address: Seen,
    /// Instructions on xmm, ymm and zmm registers.
    pub vector: Seen,
    /// Instructions on x87 and MMX registers. Not those that set the unit up, save or restore it.
    pub x87: Seen,
    /// `std`, after which string instructions run backwards.
    pub direction: Seen,
    /// Returns from an interrupt: `iret`.
    pub interrupt_return: Seen,
    /// Sets the FS register's base: `wrfsbase`, or loads the number of the MSR that holds it.
    pub thread_pointer: Seen,
    /// Calls through a register or a variable: where to is not known.
    pub unknown_calls: Seen,
    /// What is no instruction. The other facts cannot be trusted then: it is data or 32-bit code.
    pub undecodable: Seen,
    /// Calls, and jumps that leave the function, whose target is known.
    pub edges: Vec<Edge>,
    /// Deepest the stack gets, not counting the return address.
    pub frame_bytes: u64,
    /// Whether the frame also has a part whose size is decided at run time.
    pub is_frame_open: bool,
}

/// How often something was seen, and where first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How often.
    pub count: u32,
    /// The address of the first; 0 if there is none.
    pub first: u64,
}

impl Seen {
    fn add(&mut self, address: u64) {
        if self.count == 0 {
            self.first = address;
        }
        self.count = self.count.saturating_add(1);
    }

    /// Whether it was seen at all.
    pub fn is_any(&self) -> bool {
        self.count > 0
    }
}

/// A way out of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The address of the call or jump.
    pub at: u64,
    /// Where it goes.
    pub target: Target,
    /// Whether it comes back.
    pub is_call: bool,
    /// How deep the stack is there.
    pub depth: u64,
}

/// Where a call or jump goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To an address.
    Address(u64),
    /// To the address that stands at this address: a slot of the global offset table.
    Slot(u64),
    /// To a symbol, by its index in [`Object::symbols`]; before linking.
    Symbol(usize),
}

/// Where a section's code refers to symbols, before linking.
#[derive(Clone, Debug, Default)]
pub struct Links(Vec<(u64, usize)>);

impl Links {
    /// Those of one section, by its index. A linked file has none.
    pub fn of(object: &Object<'_>, section: usize) -> Self {
        let mut links: Vec<_> =
            object.relocations(section).map(|link| (link.offset, link.symbol)).collect();
        links.sort_unstable();
        Self(links)
    }

    fn symbol_at(&self, place: u64) -> Option<usize> {
        let index = self.0.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        Some(self.0[index].1)
    }
}

/// Finds out what a function's code does.
pub fn facts(function: &Function<'_>, links: &Links) -> Facts {
    let mut reader = Reader::new(function, links);
    let mut decoder = Decoder::with_ip(64, function.code, function.address, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        reader.read(&instruction, &decoder);
    }
    reader.finish()
}

/// An access that is judged when the whole function is known.
enum Pending {
    /// `[rbp - N]`, N bytes below where the frame pointer points.
    Frame { at: u64, below: i64 },
    /// `[rsp + index - N]`
    Indexed { at: u64, depth: i64 },
}

struct Reader<'a> {
    function: &'a Function<'a>,
    links: &'a Links,
    facts: Facts,
    /// Bytes between the stack pointer and the return address.
    depth: i64,
    deepest: i64,
    /// The depth at which the frame pointer was set.
    frame_pointer: Option<i64>,
    /// Whether `rbp` was also used for something else.
    is_rbp_general: bool,
    /// Depths at the targets of branches.
    branches: HashMap<u64, i64>,
    /// Whether the instruction before this one never goes on to it.
    is_after_end: bool,
    /// `mov eax, N`, for a `sub rsp, rax` that follows.
    constant: Option<i64>,
    /// `lea reg, [rsp - N]`, for a loop that moves the stack pointer there page by page.
    goal: Option<(Register, i64)>,
    has_calls: bool,
    pending: Vec<Pending>,
}

impl<'a> Reader<'a> {
    fn new(function: &'a Function<'a>, links: &'a Links) -> Self {
        Self {
            function,
            links,
            facts: Facts::default(),
            depth: 0,
            deepest: 0,
            frame_pointer: None,
            is_rbp_general: false,
            branches: HashMap::new(),
            is_after_end: false,
            constant: None,
            goal: None,
            has_calls: false,
            pending: Vec::new(),
        }
    }

    fn read(&mut self, instruction: &Instruction, decoder: &Decoder<'_>) {
        let at = instruction.ip();
        if instruction.is_invalid() {
            self.facts.undecodable.add(at);
            return;
        }
        if self.is_after_end {
            self.depth = self.branches.get(&at).copied().unwrap_or(self.deepest);
            self.is_after_end = false;
        }
        self.registers(instruction);
        self.memory(instruction);
        self.flow(instruction, decoder);
        self.stack(instruction);
    }

    fn registers(&mut self, instruction: &Instruction) {
        let at = instruction.ip();
        let operands = 0..instruction.op_count();
        let is_vector = |register: Register| register.is_vector_register();
        let uses_vectors = operands.clone().any(|i| is_vector(instruction.op_register(i)))
            || is_vector(instruction.memory_index())
            || matches!(instruction.mnemonic(), Mnemonic::Vzeroupper | Mnemonic::Vzeroall);
        if uses_vectors {
            self.facts.vector.add(at);
        }
        if is_x87(instruction, operands) {
            self.facts.x87.add(at);
        }
        match instruction.mnemonic() {
            Mnemonic::Wrfsbase => self.facts.thread_pointer.add(at),
            Mnemonic::Mov
                if instruction.op0_register() == Register::ECX
                    && has_immediate(instruction)
                    && instruction.immediate(1) as u32 == IA32_FS_BASE =>
            {
                self.facts.thread_pointer.add(at);
            }
            Mnemonic::Std => self.facts.direction.add(at),
            Mnemonic::Iret | Mnemonic::Iretd | Mnemonic::Iretq => {
                self.facts.interrupt_return.add(at);
            }
            _ => {}
        }
    }

    fn memory(&mut self, instruction: &Instruction) {
        let has_memory =
            (0..instruction.op_count()).any(|i| instruction.op_kind(i) == OpKind::Memory);
        let is_hint = matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Prefetchw)
            || matches!(instruction.mnemonic(), Mnemonic::Prefetchnta | Mnemonic::Prefetcht0)
            || matches!(instruction.mnemonic(), Mnemonic::Prefetcht1 | Mnemonic::Prefetcht2);
        // `lock add dword ptr [rsp-4], 0` is a memory barrier: what it writes is what it has read.
        let is_barrier = matches!(
            instruction.mnemonic(),
            Mnemonic::Add | Mnemonic::Or | Mnemonic::Sub | Mnemonic::Xor
        ) && has_immediate(instruction)
            && instruction.immediate(1) == 0;
        if !has_memory || is_hint || is_barrier {
            return;
        }
        let at = instruction.ip();
        let below = (instruction.memory_displacement64() as i64).wrapping_neg();
        let is_below = (1..=RED_ZONE).contains(&below);
        let is_address_only = instruction.mnemonic() == Mnemonic::Lea;
        match (instruction.memory_base(), instruction.memory_index()) {
            (Register::RSP, Register::None) if is_below && !is_address_only => {
                self.facts.red_zone.add(at);
            }
            // Moving the stack pointer itself is what `sub` does.
            (Register::RSP, Register::None)
                if is_below && instruction.op0_register() != Register::RSP =>
            {
                self.facts.red_zone_address.add(at);
            }
            (Register::RSP, _) if is_below && !is_address_only => {
                self.pending.push(Pending::Indexed { at, depth: self.depth });
            }
            (Register::RBP, Register::None) if below > 0 && !is_address_only => {
                if let Some(base) = self.frame_pointer {
                    self.pending.push(Pending::Frame { at, below: base.saturating_add(below) });
                }
            }
            _ => {}
        }
    }

    fn flow(&mut self, instruction: &Instruction, decoder: &Decoder<'_>) {
        match instruction.flow_control() {
            FlowControl::Next | FlowControl::XbeginXabortXend | FlowControl::Interrupt => {}
            FlowControl::Call => {
                // `call` to the next instruction only asks where it is.
                let is_question = is_near(instruction)
                    && instruction.near_branch_target() == instruction.next_ip()
                    && self.link(instruction, decoder).is_none();
                if is_question {
                    self.deepen(8);
                } else {
                    self.edge(instruction, decoder, true);
                }
            }
            FlowControl::IndirectCall => self.edge(instruction, decoder, true),
            FlowControl::ConditionalBranch => self.edge(instruction, decoder, false),
            FlowControl::UnconditionalBranch | FlowControl::IndirectBranch => {
                self.edge(instruction, decoder, false);
                self.is_after_end = true;
            }
            FlowControl::Return | FlowControl::Exception => self.is_after_end = true,
        }
    }

    fn edge(&mut self, instruction: &Instruction, decoder: &Decoder<'_>, is_call: bool) {
        self.has_calls |= is_call;
        let at = instruction.ip();
        let target = if let Some(symbol) = self.link(instruction, decoder) {
            Some(Target::Symbol(symbol))
        } else if is_near(instruction) {
            Some(Target::Address(instruction.near_branch_target()))
        } else if instruction.is_ip_rel_memory_operand() {
            Some(Target::Slot(instruction.ip_rel_memory_address()))
        } else {
            None
        };
        let own = self.function.address..self.function.end();
        match target {
            Some(Target::Address(target)) if !is_call && own.contains(&target) => {
                self.branches.insert(target, self.depth);
            }
            Some(target) => {
                let depth = self.depth.max(0) as u64;
                self.facts.edges.push(Edge { at, target, is_call, depth });
            }
            // An indirect jump is most often a table of cases.
            None if is_call => self.facts.unknown_calls.add(at),
            None => {}
        }
    }

    /// The symbol that the linker is to put into this instruction's target.
    fn link(&self, instruction: &Instruction, decoder: &Decoder<'_>) -> Option<usize> {
        if self.links.0.is_empty() {
            return None;
        }
        let offsets = decoder.get_constant_offsets(instruction);
        let at = instruction.ip();
        let immediate =
            offsets.has_immediate().then(|| at.wrapping_add(offsets.immediate_offset() as u64));
        let displacement = offsets
            .has_displacement()
            .then(|| at.wrapping_add(offsets.displacement_offset() as u64));
        immediate.into_iter().chain(displacement).find_map(|place| self.links.symbol_at(place))
    }

    fn stack(&mut self, instruction: &Instruction) {
        let constant = self.constant.take();
        let first =
            if instruction.op_count() > 0 { instruction.op0_register() } else { Register::None };
        match (instruction.mnemonic(), first) {
            (Mnemonic::Mov, Register::EAX | Register::RAX) if has_immediate(instruction) => {
                self.constant = Some(instruction.immediate(1) as i64);
            }
            (Mnemonic::Call, _) => self.constant = constant,
            (Mnemonic::Leave, _) => {
                self.depth = self.frame_pointer.map_or(0, |base| base - 8);
            }
            (Mnemonic::Sub | Mnemonic::Add, Register::RSP) => {
                let by_register = instruction.op1_register() == Register::RAX;
                let amount = match constant {
                    _ if has_immediate(instruction) => Some(instruction.immediate(1) as i64),
                    Some(constant) if by_register => Some(constant),
                    _ => None,
                };
                let is_sub = instruction.mnemonic() == Mnemonic::Sub;
                match amount.filter(|amount| amount.unsigned_abs() <= i32::MAX as u64) {
                    Some(amount) => self.deepen(if is_sub { amount } else { -amount }),
                    None => self.facts.is_frame_open = true,
                }
            }
            (Mnemonic::And, Register::RSP) => {
                // Aligning takes at most this much.
                let mask = (instruction.immediate(1) as i64).wrapping_neg();
                if has_immediate(instruction)
                    && mask > 0
                    && mask.count_ones() == 1
                    && mask <= 1 << 20
                {
                    self.deepen(mask - 8);
                } else {
                    self.facts.is_frame_open = true;
                }
            }
            (Mnemonic::Lea, Register::RSP) => self.stack_pointer_from_address(instruction),
            (Mnemonic::Mov, Register::RSP) => match self.frame_pointer {
                Some(base) if instruction.op1_register() == Register::RBP => self.depth = base,
                _ => self.facts.is_frame_open = true,
            },
            (Mnemonic::Mov, Register::RBP) if instruction.op1_register() == Register::RSP => {
                self.frame_pointer = Some(self.depth);
            }
            (Mnemonic::Lea, Register::RBP) if is_stack_address(instruction) => {
                let offset = instruction.memory_displacement64() as i64;
                self.frame_pointer = self.depth.checked_sub(offset);
            }
            (Mnemonic::Lea, register) if is_stack_address(instruction) => {
                let offset = instruction.memory_displacement64() as i64;
                self.goal = self.depth.checked_sub(offset).map(|depth| (register, depth));
            }
            (Mnemonic::Cmp, Register::RSP) => {
                let goal =
                    self.goal.filter(|(register, _)| *register == instruction.op1_register());
                if let Some((_, depth)) = goal {
                    self.deepen(depth.saturating_sub(self.depth).max(0));
                }
            }
            (Mnemonic::Push, _) => self.deepen(8),
            (Mnemonic::Pop, _) => self.deepen(-8),
            (Mnemonic::Ret | Mnemonic::Jmp, _) => {}
            (_, register) => {
                if register == Register::RSP && writes_first(instruction) {
                    self.facts.is_frame_open = true;
                } else if register == Register::RBP && writes_first(instruction) {
                    self.is_rbp_general = true;
                } else {
                    let change = i64::from(instruction.stack_pointer_increment());
                    if instruction.is_stack_instruction() && change != 0 {
                        self.deepen(-change);
                    }
                }
            }
        }
    }

    fn stack_pointer_from_address(&mut self, instruction: &Instruction) {
        let offset = instruction.memory_displacement64() as i64;
        let has_index = instruction.memory_index() != Register::None;
        let base = match instruction.memory_base() {
            Register::RSP if !has_index => Some(self.depth),
            Register::RBP if !has_index => self.frame_pointer,
            _ => None,
        };
        match base.and_then(|base| base.checked_sub(offset)) {
            Some(depth) => self.deepen(depth.saturating_sub(self.depth)),
            None => self.facts.is_frame_open = true,
        }
    }

    fn deepen(&mut self, bytes: i64) {
        self.depth = self.depth.saturating_add(bytes);
        self.deepest = self.deepest.max(self.depth);
    }

    fn finish(mut self) -> Facts {
        let is_frame_known = !self.facts.is_frame_open && !self.is_rbp_general;
        for access in self.pending {
            match access {
                _ if self.has_calls => {}
                Pending::Frame { at, below } if is_frame_known && below > self.deepest => {
                    self.facts.red_zone.add(at);
                }
                Pending::Frame { .. } => {}
                Pending::Indexed { at, depth: 0 } => self.facts.red_zone.add(at),
                Pending::Indexed { at, .. } => self.facts.red_zone_doubtful.add(at),
            }
        }
        self.facts.frame_bytes = self.deepest.max(0) as u64;
        self.facts
    }
}

fn is_near(instruction: &Instruction) -> bool {
    instruction.op_count() > 0
        && matches!(
            instruction.op0_kind(),
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
        )
}

fn is_stack_address(instruction: &Instruction) -> bool {
    instruction.memory_base() == Register::RSP && instruction.memory_index() == Register::None
}

fn has_immediate(instruction: &Instruction) -> bool {
    instruction.op_count() > 1
        && !matches!(instruction.op1_kind(), OpKind::Register | OpKind::Memory)
}

fn writes_first(instruction: &Instruction) -> bool {
    let mut factory = iced_x86::InstructionInfoFactory::new();
    matches!(
        factory.info(instruction).op0_access(),
        OpAccess::Write | OpAccess::ReadWrite | OpAccess::CondWrite | OpAccess::ReadCondWrite
    )
}

fn is_x87(instruction: &Instruction, mut operands: std::ops::Range<u32>) -> bool {
    let on_register = operands.any(|i| {
        let register = instruction.op_register(i);
        register.is_st() || register.is_mm()
    });
    let is_upkeep = matches!(
        instruction.mnemonic(),
        Mnemonic::Fninit
            | Mnemonic::Finit
            | Mnemonic::Fnclex
            | Mnemonic::Fclex
            | Mnemonic::Fldcw
            | Mnemonic::Fnstcw
            | Mnemonic::Fstcw
            | Mnemonic::Fnstsw
            | Mnemonic::Fstsw
            | Mnemonic::Fnsave
            | Mnemonic::Fsave
            | Mnemonic::Frstor
            | Mnemonic::Fnstenv
            | Mnemonic::Fstenv
            | Mnemonic::Fldenv
            | Mnemonic::Wait
            | Mnemonic::Emms
    );
    let is_feature = |feature: &CpuidFeature| {
        matches!(feature, CpuidFeature::FPU | CpuidFeature::FPU287 | CpuidFeature::FPU387)
    };
    on_register || (!is_upkeep && instruction.cpuid_features().iter().any(is_feature))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::symbols::Binding;

    fn read(code: &[u8]) -> Facts {
        let function = Function {
            name: Cow::Borrowed("tested"),
            aliases: Vec::new(),
            address: 0x1000,
            code,
            section: 1,
            is_sized: true,
            binding: Binding::Global,
        };
        facts(&function, &Links::default())
    }

    #[test]
    fn memory_below_the_stack_pointer_is_the_red_zone() {
        // mov [rsp-8], rdi; mov rax, [rsp-128]; ret
        let code = [0x48, 0x89, 0x7c, 0x24, 0xf8, 0x48, 0x8b, 0x44, 0x24, 0x80, 0xc3];
        assert_eq!(read(&code).red_zone, Seen { count: 2, first: 0x1000 });
        // mov [rsp], rdi; mov [rsp+8], rdi; ret
        let code = [0x48, 0x89, 0x3c, 0x24, 0x48, 0x89, 0x7c, 0x24, 0x08, 0xc3];
        assert_eq!(read(&code).red_zone, Seen::default());
        // or qword ptr [rsp-4096], 0; ret: a stack probe, beyond the red zone.
        let code = [0x48, 0x83, 0x8c, 0x24, 0x00, 0xf0, 0xff, 0xff, 0x00, 0xc3];
        assert_eq!(read(&code).red_zone, Seen::default());
        // lock add dword ptr [rsp-4], 0; ret
        let barrier = [0xf0, 0x83, 0x44, 0x24, 0xfc, 0x00, 0xc3];
        assert_eq!(read(&barrier).red_zone, Seen::default());
        // lock add dword ptr [rsp-4], 1; ret
        let barrier = [0xf0, 0x83, 0x44, 0x24, 0xfc, 0x01, 0xc3];
        assert_eq!(read(&barrier).red_zone.count, 1);
        // nop dword ptr [rsp-8]; ret
        let code = [0x0f, 0x1f, 0x44, 0x24, 0xf8, 0xc3];
        assert_eq!(read(&code).red_zone, Seen::default());
    }

    #[test]
    fn an_address_below_the_stack_pointer_is_counted_apart() {
        // lea rax, [rsp-16]; ret
        let seen = read(&[0x48, 0x8d, 0x44, 0x24, 0xf0, 0xc3]);
        assert_eq!((seen.red_zone.count, seen.red_zone_address.count), (0, 1));
        // lea rsp, [rsp-16]; lea rsp, [rsp+16]; ret
        let seen = read(&[0x48, 0x8d, 0x64, 0x24, 0xf0, 0x48, 0x8d, 0x64, 0x24, 0x10, 0xc3]);
        assert_eq!((seen.red_zone_address.count, seen.frame_bytes), (0, 16));
        assert!(!seen.is_frame_open);
    }

    #[test]
    fn indexed_accesses_count_only_without_frame_and_calls() {
        // mov al, [rsp+rdi-64]; ret
        let seen = read(&[0x8a, 0x44, 0x3c, 0xc0, 0xc3]);
        assert_eq!((seen.red_zone.count, seen.red_zone_doubtful.count), (1, 0));
        // sub rsp, 200; mov al, [rsp+rdi-64]; add rsp, 200; ret
        let framed = [
            0x48, 0x81, 0xec, 0xc8, 0, 0, 0, 0x8a, 0x44, 0x3c, 0xc0, 0x48, 0x81, 0xc4, 0xc8, 0, 0,
            0, 0xc3,
        ];
        let seen = read(&framed);
        assert_eq!((seen.red_zone.count, seen.red_zone_doubtful.count), (0, 1));
        assert_eq!(seen.frame_bytes, 200);
        // mov al, [rsp+rdi-64]; call +0x100; ret
        let seen = read(&[0x8a, 0x44, 0x3c, 0xc0, 0xe8, 0, 1, 0, 0, 0xc3]);
        assert_eq!((seen.red_zone.count, seen.red_zone_doubtful.count), (0, 0));
    }

    #[test]
    fn memory_below_a_frame_of_a_frame_pointer_is_the_red_zone() {
        // push rbp; mov rbp, rsp; mov [rbp-8], rdi; pop rbp; ret
        let leaf = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0x7d, 0xf8, 0x5d, 0xc3];
        assert_eq!(read(&leaf).red_zone, Seen { count: 1, first: 0x1004 });
        // push rbp; mov rbp, rsp; sub rsp, 16; mov [rbp-8], rdi; leave; ret
        let framed =
            [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10, 0x48, 0x89, 0x7d, 0xf8, 0xc9, 0xc3];
        let seen = read(&framed);
        assert_eq!((seen.red_zone.count, seen.frame_bytes), (0, 24));
        // push rbp; mov rbp, rsp; push rbx; mov [rbp-8], rdi; pop rbx; pop rbp; ret
        let pushed = [0x55, 0x48, 0x89, 0xe5, 0x53, 0x48, 0x89, 0x7d, 0xf8, 0x5b, 0x5d, 0xc3];
        assert_eq!(read(&pushed).red_zone.count, 0);
        // push rbp; mov rbp, rsp; sub rsp, rcx; mov [rbp-8], rdi; leave; ret
        let open = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x29, 0xcc, 0x48, 0x89, 0x7d, 0xf8, 0xc9, 0xc3];
        let seen = read(&open);
        assert_eq!((seen.red_zone.count, seen.is_frame_open), (0, true));
        // mov rbp, rdi; mov [rbp-8], rsi; ret: no frame pointer.
        assert_eq!(read(&[0x48, 0x89, 0xfd, 0x48, 0x89, 0x75, 0xf8, 0xc3]).red_zone.count, 0);
    }

    #[test]
    fn vector_and_x87_registers_are_seen() {
        assert_eq!(read(&[0x66, 0x0f, 0xef, 0xc0, 0xc3]).vector.count, 1); // pxor xmm0, xmm0
        assert_eq!(read(&[0xc5, 0xf8, 0x77, 0xc3]).vector.count, 1); // vzeroupper
        assert_eq!(read(&[0x0f, 0x29, 0x07, 0xc3]).vector.count, 1); // movaps [rdi], xmm0
        assert_eq!(read(&[0xd9, 0xe8, 0xc3]).x87.count, 1); // fld1
        assert_eq!(read(&[0xdd, 0x07, 0xc3]).x87.count, 1); // fld qword ptr [rdi]
        assert_eq!(read(&[0x0f, 0xef, 0xc0, 0xc3]).x87.count, 1); // pxor mm0, mm0
        // fninit; ldmxcsr [rdi]; fxsave [rdi]; xor eax, eax
        let upkeep = [0xdb, 0xe3, 0x0f, 0xae, 0x17, 0x0f, 0xae, 0x07, 0x31, 0xc0, 0xc3];
        let seen = read(&upkeep);
        assert_eq!((seen.vector.count, seen.x87.count), (0, 0));
    }

    #[test]
    fn the_direction_flag_and_interrupt_returns_are_seen() {
        let seen = read(&[0xfd, 0xf3, 0xa4, 0xfc, 0xc3]); // std; rep movsb; cld; ret
        assert_eq!(seen.direction, Seen { count: 1, first: 0x1000 });
        assert_eq!(read(&[0xfc, 0xc3]).direction.count, 0);
        assert_eq!(read(&[0x48, 0xcf]).interrupt_return.count, 1);
        assert_eq!(read(&[0xc3]).interrupt_return.count, 0);
    }

    #[test]
    fn calls_and_jumps_that_leave_are_edges() {
        // call +0x100; jz to the call; jmp +0x200
        let seen = read(&[0xe8, 0, 1, 0, 0, 0x74, 0xf9, 0xe9, 0, 2, 0, 0]);
        let edges: Vec<_> = seen.edges.iter().map(|edge| (edge.target, edge.is_call)).collect();
        assert_eq!(edges, [(Target::Address(0x1105), true), (Target::Address(0x120c), false)]);
        // call rax; call [rip+0x10]; jmp rcx
        let seen = read(&[0xff, 0xd0, 0xff, 0x15, 0x10, 0, 0, 0, 0xff, 0xe1]);
        assert_eq!(seen.unknown_calls.count, 1);
        assert_eq!(seen.edges[0].target, Target::Slot(0x1018));
        // call itself
        let seen = read(&[0xe8, 0xfb, 0xff, 0xff, 0xff, 0xc3]);
        assert_eq!(seen.edges[0].target, Target::Address(0x1000));
        // call next; pop rax; ret
        let seen = read(&[0xe8, 0, 0, 0, 0, 0x58, 0xc3]);
        assert_eq!((seen.edges.len(), seen.frame_bytes), (0, 8));
    }

    #[test]
    fn a_relocation_tells_the_target() {
        let function = Function {
            name: Cow::Borrowed("tested"),
            aliases: Vec::new(),
            address: 0x10,
            code: &[0xe8, 0, 0, 0, 0, 0xff, 0x15, 0, 0, 0, 0],
            section: 1,
            is_sized: true,
            binding: Binding::Global,
        };
        let seen = facts(&function, &Links(vec![(0x11, 7), (0x17, 9)]));
        let targets: Vec<_> = seen.edges.iter().map(|edge| edge.target).collect();
        assert_eq!(targets, [Target::Symbol(7), Target::Symbol(9)]);
    }

    #[test]
    fn frames_are_added_up_across_an_early_return() {
        // push rbx; sub rsp, 32; test edi, edi; jz 1f; add rsp, 32; pop rbx; ret;
        // 1: call +0x100; add rsp, 32; pop rbx; ret
        let code = [
            0x53, 0x48, 0x83, 0xec, 0x20, 0x85, 0xff, 0x74, 0x06, 0x48, 0x83, 0xc4, 0x20, 0x5b,
            0xc3, 0xe8, 0, 1, 0, 0, 0x48, 0x83, 0xc4, 0x20, 0x5b, 0xc3,
        ];
        let seen = read(&code);
        assert_eq!((seen.frame_bytes, seen.edges[0].depth), (40, 40));
        assert!(!seen.is_frame_open);
    }

    #[test]
    fn large_frames_are_known_however_they_are_made() {
        // mov eax, 0x3000; sub rsp, rax; ret
        let seen = read(&[0xb8, 0, 0x30, 0, 0, 0x48, 0x29, 0xc4, 0xc3]);
        assert_eq!((seen.frame_bytes, seen.is_frame_open), (0x3000, false));
        // lea r11, [rsp-0x3000]; 1: sub rsp, 0x1000; mov qword ptr [rsp], 0; cmp rsp, r11; jne 1b;
        // sub rsp, 8; ret
        let code = [
            0x4c, 0x8d, 0x9c, 0x24, 0, 0xd0, 0xff, 0xff, 0x48, 0x81, 0xec, 0, 0x10, 0, 0, 0x48,
            0xc7, 0x04, 0x24, 0, 0, 0, 0, 0x4c, 0x39, 0xdc, 0x75, 0xec, 0x48, 0x83, 0xec, 0x08,
            0xc3,
        ];
        let seen = read(&code);
        assert_eq!((seen.frame_bytes, seen.is_frame_open), (0x3008, false));
        // push rbp; mov rbp, rsp; and rsp, -64; sub rsp, 64; leave; ret
        let code =
            [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xc0, 0x48, 0x83, 0xec, 0x40, 0xc9, 0xc3];
        assert_eq!(read(&code).frame_bytes, 8 + 56 + 64);
    }

    #[test]
    fn what_is_no_instruction_is_said() {
        assert_eq!(read(&[0x06, 0xc3]).undecodable.count, 1); // push es, 32 bits only
        assert_eq!(read(&[0xe8, 0, 0]).undecodable.count, 1); // cut off
        assert_eq!(read(&[]), Facts::default());
    }
}

//! Reads a function's instructions and records what each uses: registers, memory, other functions.

use std::collections::HashMap;

use iced_x86::{CpuidFeature, Decoder, FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::frame::{Frame, immediate};
use super::{Edge, Facts, Links, RED_ZONE, Target};
use crate::functions::Function;

/// The model-specific register with the base of FS.
const IA32_FS_BASE: u32 = 0xc000_0100;

/// An access that is judged when the whole function is known.
enum Pending {
    /// `[rbp - N]`, N bytes below where the frame pointer points.
    Frame { at: u64, below: i64 },
    /// `[rsp + index - N]`
    Indexed { at: u64, depth: i64 },
}

/// Reads a function's instructions, in the order of addresses.
pub struct Reader<'a> {
    function: &'a Function<'a>,
    links: &'a Links,
    facts: Facts,
    frame: Frame,
    /// Depths at the targets of branches.
    branches: HashMap<u64, i64>,
    /// Whether the instruction before this one never goes on to it.
    is_after_end: bool,
    has_calls: bool,
    pending: Vec<Pending>,
}

impl<'a> Reader<'a> {
    /// Before the first instruction.
    pub fn new(function: &'a Function<'a>, links: &'a Links) -> Self {
        Self {
            function,
            links,
            facts: Facts::default(),
            frame: Frame::default(),
            branches: HashMap::new(),
            is_after_end: false,
            has_calls: false,
            pending: Vec::new(),
        }
    }

    /// Reads the next instruction.
    pub fn read(&mut self, instruction: &Instruction, decoder: &Decoder<'_>) {
        let at = instruction.ip();
        if instruction.is_invalid() {
            self.facts.undecodable.add(at);
            return;
        }
        if self.is_after_end {
            self.frame.depth = self.branches.get(&at).copied().unwrap_or(self.frame.deepest);
            self.is_after_end = false;
        }
        self.registers(instruction);
        self.memory(instruction);
        self.flow(instruction, decoder);
        self.frame.follow(instruction);
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
                    && immediate(instruction).is_some_and(|msr| msr as u32 == IA32_FS_BASE) =>
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
        ) && immediate(instruction) == Some(0);
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
                self.pending.push(Pending::Indexed { at, depth: self.frame.depth });
            }
            (Register::RBP, Register::None) if below > 0 && !is_address_only => {
                if let Some(base) = self.frame.pointer {
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
                    self.frame.deepen(8);
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
                self.branches.insert(target, self.frame.depth);
            }
            Some(target) => {
                let depth = self.frame.depth.max(0) as u64;
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

    /// What was seen, after the last.
    pub fn finish(mut self) -> Facts {
        let frame = self.frame;
        let is_frame_known = !frame.is_open && !frame.is_rbp_general;
        for access in self.pending {
            match access {
                _ if self.has_calls => {}
                Pending::Frame { at, below } if is_frame_known && below > frame.deepest => {
                    self.facts.red_zone.add(at);
                }
                Pending::Frame { .. } => {}
                Pending::Indexed { at, depth: 0 } => self.facts.red_zone.add(at),
                Pending::Indexed { at, .. } => self.facts.red_zone_doubtful.add(at),
            }
        }
        self.facts.frame_bytes = frame.deepest.max(0) as u64;
        self.facts.is_frame_open = frame.is_open;
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

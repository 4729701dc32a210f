//! Where the stack pointer is, and how deep it gets, as the instructions of a function go by.

use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpAccess, Register};

/// A function's frame, as far as it is known.
#[derive(Debug, Default)]
pub struct Frame {
    /// Bytes between the stack pointer and the return address.
    pub depth: i64,
    /// The most that `depth` has been.
    pub deepest: i64,
    /// The depth at which the frame pointer was set.
    pub pointer: Option<i64>,
    /// Whether `rbp` was also used for something else.
    pub is_rbp_general: bool,
    /// Whether the frame also has a part whose size is decided at run time.
    pub is_open: bool,
    /// `mov eax, N`, for a `sub rsp, rax` that follows.
    constant: Option<i64>,
    /// `lea reg, [rsp - N]`, for a loop that moves the stack pointer there page by page.
    goal: Option<(Register, i64)>,
}

impl Frame {
    /// Follows one instruction.
    pub fn follow(&mut self, instruction: &Instruction) {
        let constant = self.constant.take();
        let first =
            if instruction.op_count() > 0 { instruction.op0_register() } else { Register::None };
        match (instruction.mnemonic(), first) {
            (Mnemonic::Mov, Register::EAX | Register::RAX) => {
                self.constant = immediate(instruction).map(|number| number as i64);
            }
            (Mnemonic::Call, _) => self.constant = constant,
            (Mnemonic::Leave, _) => {
                self.depth = self.pointer.map_or(0, |base| base.saturating_sub(8));
            }
            (Mnemonic::Sub | Mnemonic::Add, Register::RSP) => {
                let by_register = instruction.op1_register() == Register::RAX;
                let amount = immediate(instruction).map(|number| number as i64);
                let amount = amount.or(constant.filter(|_| by_register));
                let is_sub = instruction.mnemonic() == Mnemonic::Sub;
                match amount.filter(|amount| amount.unsigned_abs() <= i32::MAX as u64) {
                    Some(amount) => {
                        self.deepen(if is_sub { amount } else { amount.saturating_neg() })
                    }
                    None => self.is_open = true,
                }
            }
            (Mnemonic::And, Register::RSP) => {
                // Aligning takes at most this much.
                let mask = immediate(instruction).map(|number| (number as i64).wrapping_neg());
                match mask.filter(|mask| (1..=1 << 20).contains(mask) && mask.count_ones() == 1) {
                    Some(mask) => self.deepen(mask.saturating_sub(8)),
                    None => self.is_open = true,
                }
            }
            (Mnemonic::Lea, Register::RSP) => self.move_to_address(instruction),
            (Mnemonic::Mov, Register::RSP) => match self.pointer {
                Some(base) if instruction.op1_register() == Register::RBP => self.depth = base,
                _ => self.is_open = true,
            },
            (Mnemonic::Mov, Register::RBP) if instruction.op1_register() == Register::RSP => {
                self.pointer = Some(self.depth);
            }
            (Mnemonic::Lea, Register::RBP) if is_stack_address(instruction) => {
                let offset = instruction.memory_displacement64() as i64;
                self.pointer = self.depth.checked_sub(offset);
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
                    self.is_open = true;
                } else if register == Register::RBP && writes_first(instruction) {
                    self.is_rbp_general = true;
                } else {
                    let change = i64::from(instruction.stack_pointer_increment());
                    if instruction.is_stack_instruction() && change != 0 {
                        self.deepen(change.saturating_neg());
                    }
                }
            }
        }
    }

    fn move_to_address(&mut self, instruction: &Instruction) {
        let offset = instruction.memory_displacement64() as i64;
        let has_index = instruction.memory_index() != Register::None;
        let base = match instruction.memory_base() {
            Register::RSP if !has_index => Some(self.depth),
            Register::RBP if !has_index => self.pointer,
            _ => None,
        };
        match base.and_then(|base| base.checked_sub(offset)) {
            Some(depth) => self.deepen(depth.saturating_sub(self.depth)),
            None => self.is_open = true,
        }
    }

    /// Moves the stack pointer down.
    pub fn deepen(&mut self, bytes: i64) {
        self.depth = self.depth.saturating_add(bytes);
        self.deepest = self.deepest.max(self.depth);
    }
}

fn is_stack_address(instruction: &Instruction) -> bool {
    instruction.memory_base() == Register::RSP && instruction.memory_index() == Register::None
}

fn writes_first(instruction: &Instruction) -> bool {
    let mut factory = InstructionInfoFactory::new();
    matches!(
        factory.info(instruction).op0_access(),
        OpAccess::Write | OpAccess::ReadWrite | OpAccess::CondWrite | OpAccess::ReadCondWrite
    )
}

/// The second operand, if it is a number.
pub fn immediate(instruction: &Instruction) -> Option<u64> {
    if instruction.op_count() < 2 { None } else { instruction.try_immediate(1).ok() }
}

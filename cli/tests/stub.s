# A kernel of a few instructions: enters by PVH in 32-bit mode, prints its command line on the first
# serial port, and does what the line's first letter says:
#
#   f  report failure     c  report a crash      t  triple fault
#   h  hang               l  print for ever      p  write what is no verdict
#   anything else: report success

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 4, 18              # lengths of name and descriptor, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long _start

    .section .text._start, "ax", @progbits
    .code32
    .globl _start
    .type freestone_start, @function    # what `debug` stops at
_start:
freestone_start:
    cld
    movl 24(%ebx), %edi         # hvm_start_info.cmdline_paddr
    movl $greeting, %esi
    movl $1f, %ebp              # there is no stack: %ebp holds the way back
    jmp print
1:  movl %edi, %esi
    movl $2f, %ebp
    jmp print
2:  movl $newline, %esi
    movl $3f, %ebp
    jmp print
3:  movb (%edi), %cl
    movb $0x11, %al
    cmpb $'f', %cl
    je verdict
    movb $0x12, %al
    cmpb $'c', %cl
    je verdict
    movb $0x40, %al
    cmpb $'p', %cl
    je verdict
    cmpb $'t', %cl
    je fault
    cmpb $'h', %cl
    je hang
    movl $2b, %ebp
    cmpb $'l', %cl
    je 1b
    movb $0x10, %al
verdict:
    outb %al, $0xf4
hang:
    jmp hang
fault:
    lidt no_idt
    ud2

print:
    movw $0x3f8, %dx
1:  lodsb
    testb %al, %al
    jz 2f
    outb %al, %dx
    jmp 1b
2:  jmp *%ebp

greeting:
    .asciz "stub: "
newline:
    .asciz "\n"
no_idt:
    .word 0
    .long 0
    .size freestone_start, . - freestone_start

/* SPDX-License-Identifier: MIT */
/*
 * The guest's way from the PVH entry (32 bits, no paging) to guest_main() in long mode, that of the
 * other processors to smp_main(), and the stubs through which interrupts and exceptions reach C.
 * What is done there is decided in C.
 *
 * The first 64 GiB are identity mapped with pages of 2 MiB: that holds the RAM, the devices and
 * the EPC, which QEMU puts at 4 GiB when RAM is small.
 */

#define NR_DIRECTORIES 64	/* one GiB each; guest.h says the same in bytes */
#define PAGE_TABLE_BITS 0x3	/* present, writable */
#define PAGE_LARGE_BITS 0x83	/* present, writable, large */
#define CR4_PAE 0x20
#define CR0_PE_PG 0x80000001
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define CODE64_SELECTOR 0x8
#define DATA_SELECTOR 0x10
#define PROCESSOR_CODE 0x8000	/* smp.c copies there */
#define NR_PROCESSORS_MAX 16	/* besides the first; smp.h says the same */
#define STACK_SHIFT 13
#define XEN_ELFNOTE_PHYS32_ENTRY 18

	.section .note.pvh, "a", @note
	.balign 4
	.long	4, 8, XEN_ELFNOTE_PHYS32_ENTRY
	.asciz	"Xen"
	.quad	guest_start

	.section .text.boot, "ax"
	.code32
	.globl	guest_start
guest_start:
	cli
	cld
	/* After a reset the RAM has what the last boot left there. */
	movl	$bss_start, %edi
	movl	$bss_end, %ecx
	subl	%edi, %ecx
	shrl	$2, %ecx
	xorl	%eax, %eax
	rep stosl

	movl	$page_directories, %edi
	xorl	%ecx, %ecx
1:	movl	%ecx, %eax
	shll	$21, %eax
	orl	$PAGE_LARGE_BITS, %eax
	movl	%eax, (%edi)
	movl	%ecx, %eax
	shrl	$11, %eax
	movl	%eax, 4(%edi)
	addl	$8, %edi
	incl	%ecx
	cmpl	$(NR_DIRECTORIES * 512), %ecx
	jb	1b

	movl	$page_pointers, %edi
	movl	$(page_directories + PAGE_TABLE_BITS), %eax
	movl	$NR_DIRECTORIES, %ecx
2:	movl	%eax, (%edi)
	addl	$4096, %eax
	addl	$8, %edi
	decl	%ecx
	jnz	2b
	movl	$(page_pointers + PAGE_TABLE_BITS), page_root

	movl	%cr4, %eax
	orl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$page_root, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$CR0_PE_PG, %eax
	movl	%eax, %cr0
	lgdt	descriptors_pointer
	ljmp	$CODE64_SELECTOR, $long_mode

	.code64
long_mode:
	movl	$DATA_SELECTOR, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$stack_top, %esp
	xorl	%ebp, %ebp
	call	guest_main
3:	cli
	hlt
	jmp	3b

/*
 * Where the other processors begin, in real mode: smp.c copies what is between processor_code and
 * processor_code_end to PROCESSOR_CODE, a page below 1 MiB. Straight to long mode, with the same
 * page tables; then each draws its number and takes its stack.
 */
	.section .rodata
	.globl	processor_code, processor_code_end
	.code16
processor_code:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movl	%cr4, %eax
	orl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$page_root, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
	lgdtl	PROCESSOR_CODE + (processor_descriptors - processor_code)
	movl	%cr0, %eax
	orl	$CR0_PE_PG, %eax
	movl	%eax, %cr0
	ljmpl	$CODE64_SELECTOR, $processor_long_mode
processor_descriptors:
	.word	descriptors_end - descriptors - 1
	.long	descriptors
processor_code_end:

	.text
	.code64
processor_long_mode:
	movl	$DATA_SELECTOR, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$1, %edi
	lock xaddl %edi, smp_nr_begun
	cmpl	$NR_PROCESSORS_MAX, %edi
	jae	4f
	movl	%edi, %eax
	shll	$STACK_SHIFT, %eax
	addl	$(processor_stacks + (1 << STACK_SHIFT)), %eax
	movl	%eax, %esp
	call	smp_main
4:	cli
	hlt
	jmp	4b

/*
 * One stub of 16 bytes for each vector; the processor pushes an error code for some of them, the
 * stub pushes a zero for the others, so that C sees one frame, which is struct trap_frame; what C
 * changes in it comes true at the end.
 */
	.text
	.globl	interrupt_stubs
	.balign	16
interrupt_stubs:
	.set	vector, 0
	.rept	48
	.balign	16
	.if	!(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	pushq	$0
	.endif
	pushq	$vector
	jmp	interrupt_common
	.set	vector, vector + 1
	.endr

interrupt_common:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rbx
	pushq	%rbp
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	movq	%rsp, %rdi
	cld
	call	trap_handle
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rbp
	popq	%rbx
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

	.section .rodata
	.balign	8
descriptors:
	.quad	0
	.quad	0x00af9a000000ffff	/* code, 64 bits */
	.quad	0x00cf92000000ffff	/* data */
descriptors_end:
descriptors_pointer:
	.word	descriptors_end - descriptors - 1
	.long	descriptors
	.long	0

	.bss
	.balign	4096
page_root:
	.skip	4096
page_pointers:
	.skip	4096
page_directories:
	.skip	4096 * NR_DIRECTORIES
	.balign	16
	.skip	16384
stack_top:
processor_stacks:
	.skip	NR_PROCESSORS_MAX << STACK_SHIFT

	.section .note.GNU-stack, "", @progbits

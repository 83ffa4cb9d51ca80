/* The Cortex-M4F that QEMU emulates as mps2-an386: start-up, and text and exit by semihosting. */
#include <stdint.h>

#include "board.h"

int main(void);

extern uint32_t data_start, data_end, bss_start, bss_end, stack_top;
extern const uint32_t data_load;

void reset(void) __attribute__((noreturn));
static void fault(void) __attribute__((noreturn));

/* The initial stack pointer, then the handlers: reset, NMI and the faults. Nothing here enables an interrupt. */
__attribute__((section(".vectors"), used)) const void *const vectors[16] = {
    &stack_top,
    (const void *)reset,
    (const void *)fault,
    (const void *)fault,
    (const void *)fault,
    (const void *)fault,
    (const void *)fault,
};

/* Asks the debugger, here the emulator: Arm's semihosting. */
static uint32_t ask(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void board_print(const char *text) {
    ask(0x04, text); /* SYS_WRITE0 */
}

void board_exit(int status) {
    const uint32_t reason[2] = {0x20026, (uint32_t)status}; /* ADP_Stopped_ApplicationExit */
    ask(0x20, reason);                                      /* SYS_EXIT_EXTENDED */
    for (;;) {
    }
}

static void fault(void) {
    board_print("error fault\n");
    board_exit(2);
}

void reset(void) {
    /* The library is built for hard floats: full access to coprocessors 10 and 11 before the first one. */
    *(volatile uint32_t *)0xe000ed88 |= 0xfu << 20;
    __asm__ volatile("dsb\nisb");
    const uint32_t *from = &data_load;
    for (uint32_t *to = &data_start; to < &data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = &bss_start; to < &bss_end; to++) {
        *to = 0;
    }
    board_exit(main());
}

// Start-up, timer and text of every comparator: see harness.h.
#include "harness.h"

enum { STEPS = 100, CALIBRATION = 1000000, LONGEST = 64 };

#define SYST_CSR (*(volatile uint32_t *)0xe000e010)
#define SYST_RVR (*(volatile uint32_t *)0xe000e014)
#define SYST_CVR (*(volatile uint32_t *)0xe000e018)
#define CPACR (*(volatile uint32_t *)0xe000ed88)

static uint32_t now(void) { return 0x00ffffff - SYST_CVR; }

static uint32_t since(uint32_t start) { return (now() - start) & 0x00ffffff; }

static void semihost(int operation, const void *argument) {
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void print(const char *text) { semihost(0x04, text); }

static void print_number(uint32_t value) {
    char digits[11];
    char *place = digits + sizeof digits;
    *--place = 0;
    do {
        *--place = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    print(" ");
    print(place);
}

float number(void) {
    static uint32_t state = 1;
    state = state * 1664525 + 1013904223;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

// A turn is a subtraction and a branch.
__attribute__((noinline)) static uint32_t spin(uint32_t turns) {
    uint32_t start = now();
    __asm__ volatile("1: subs %0, #1\n bne 1b" : "+r"(turns) : : "cc");
    return since(start);
}

static void run(void) {
    SYST_RVR = 0x00ffffff;
    SYST_CVR = 0;
    SYST_CSR = 5;
    uint32_t longer = spin(CALIBRATION);
    uint32_t ticks = longer - spin(CALIBRATION / 2);
    print("calibration");
    print_number(CALIBRATION);
    print_number(ticks);
    print("\n");

    uint32_t start = now();
    uint32_t overhead = since(start);
    prepare();
    float observation[LONGEST];
    for (int t = 0; t < STEPS; t++) {
        for (int i = 0; i < observations; i++) observation[i] = 3.0f * number();
        __asm__ volatile("" : : "r"(observation) : "memory");
        start = now();
        volatile int action = act(observation);
        uint32_t taken = since(start) - overhead;
        print("step");
        print_number((uint32_t)action);
        print_number(taken);
        print("\n");
    }
    print("done\n");
    semihost(0x18, (const void *)0x20026);
}

extern uint32_t data_begin, data_end, data_source, bss_begin, bss_end, stack_top;
extern void (*init_begin[])(void), (*init_end[])(void);

__attribute__((noreturn, used)) static void start(void) {
    CPACR |= 0xf << 20;
    __asm__ volatile("dsb\n isb");
    for (uint32_t *to = &data_begin, *from = &data_source; to < &data_end;) *to++ = *from++;
    for (uint32_t *to = &bss_begin; to < &bss_end;) *to++ = 0;
    for (void (**init)(void) = init_begin; init < init_end; init++) (*init)();
    run();
    for (;;) {
    }
}

// Nothing that uses the floating-point unit before it is on.
__attribute__((naked, used)) void reset(void) { __asm__("b start"); }

__attribute__((naked, used)) static void fault(void) {
    __asm__("movs r0, #0x18\n ldr r1, =0x20023\n bkpt 0xab\n b .");
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
};

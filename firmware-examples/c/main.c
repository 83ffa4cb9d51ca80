/*
 * Acts as one agent and prints what it did; `cargo xtask qemu` compares every bit with the golden sequence and with the host.
 *
 * Lines of words separated by one space; bits of floats are eight hexadecimal digits.
 *
 *   consort-c 1                    first; the protocol's version
 *   image <agent> <revision>       the image was accepted, and its signature if it has one
 *   step <t> <action> <bits>...    the best action, or one a group with commas between them, and the logits; for vectors `-` and the
 *                                  action
 *   draw <t> <bits>...             an action drawn: the bits of its number, or of one a group, or the vector's
 *   safe <status> <action>         a step that must fail, and the safe action that is left
 *   refused <status> <status>      an image that must be refused, and a step with it
 *   updated <status> <revision> <trials> <status> <action>
 *                                  two slots of flash: a boot that finds nothing; after an update the revision in use and the boots left
 *                                  to its trial; the confirmation; and whether what was booted acts as the image does
 *   done <steps>                   last, and only after all that
 *   error <what>                   last instead
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "board.h"
#include "consort.h"

#include "agent.h" /* written by `cargo xtask qemu`: the image, its public key, the golden observations, starts and masks */

#define STAND_STILL 0xffffffffu /* what this machine does when it does not know what to do */

static consort_policy_t policy, refused;
/* One memory each for the three ways of acting below, as each has a state of its own. */
static float acting[AGENT_MEMORY], logging[AGENT_MEMORY], drawing[AGENT_MEMORY];
static float values[AGENT_OUTPUTS];
static uint8_t damaged[sizeof agent_image] __attribute__((aligned(16)));

static void print_number(uint32_t number) {
    char text[12];
    char *digit = text + sizeof text - 1;
    *digit = 0;
    do {
        *--digit = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    board_print(digit);
}

static void print_bits(uint32_t bits) {
    char text[10] = " ";
    for (int digit = 0; digit < 8; digit++) {
        text[1 + digit] = "0123456789abcdef"[bits >> (28 - 4 * digit) & 15];
    }
    text[9] = 0;
    board_print(text);
}

static void print_values(void) {
    for (size_t i = 0; i < AGENT_OUTPUTS; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        print_bits(bits);
    }
}

static int fail(consort_status_t status) {
    board_print("error ");
    board_print(consort_status_string(status));
    board_print("\n");
    return 1;
}

/* A linear congruential generator; xtask has the same. A machine that draws its actions needs a better one. */
static uint32_t next_random(void *context) {
    uint32_t *state = context;
    *state = *state * 1664525u + 1013904223u;
    return *state;
}

/* The best action: one number (by the functions for that where there is one group), or one a group. */
static consort_status_t choose(const float *observation, const uint8_t *mask, uint32_t *actions) {
#if AGENT_GROUPS > 1
    return mask ? consort_choose_masked(&policy, observation, AGENT_OBSERVATIONS, mask, AGENT_OUTPUTS, acting, AGENT_MEMORY,
                                        actions, AGENT_GROUPS)
                : consort_choose(&policy, observation, AGENT_OBSERVATIONS, acting, AGENT_MEMORY, actions, AGENT_GROUPS);
#else
    return mask ? consort_act_greedy_masked(&policy, observation, AGENT_OBSERVATIONS, mask, AGENT_OUTPUTS, acting,
                                            AGENT_MEMORY, actions)
                : consort_act_greedy(&policy, observation, AGENT_OBSERVATIONS, acting, AGENT_MEMORY, actions);
#endif
}

/* The same, drawn. */
static consort_status_t draw(const float *observation, const uint8_t *mask, uint32_t *seed, uint32_t *actions) {
#if AGENT_GROUPS > 1
    return mask ? consort_choose_sampled_masked(&policy, observation, AGENT_OBSERVATIONS, mask, AGENT_OUTPUTS, drawing,
                                                AGENT_MEMORY, next_random, seed, actions, AGENT_GROUPS)
                : consort_choose_sampled(&policy, observation, AGENT_OBSERVATIONS, drawing, AGENT_MEMORY, next_random,
                                         seed, actions, AGENT_GROUPS);
#else
    return mask ? consort_act_sampled_masked(&policy, observation, AGENT_OBSERVATIONS, mask, AGENT_OUTPUTS, drawing,
                                             AGENT_MEMORY, next_random, seed, actions)
                : consort_act_sampled(&policy, observation, AGENT_OBSERVATIONS, drawing, AGENT_MEMORY, next_random, seed,
                                      actions);
#endif
}

/* Prints one step: the best action with its logits, and one that is drawn. */
static consort_status_t step(size_t t, const float *observation, bool continuous, uint32_t *seed) {
    consort_status_t status;
    uint32_t actions[AGENT_GROUPS], drawn[AGENT_GROUPS];
    const uint8_t *mask = agent_masked[t] ? &agent_masks[t * AGENT_OUTPUTS] : NULL;

    for (size_t i = 0; i < AGENT_GROUPS; i++) {
        actions[i] = drawn[i] = STAND_STILL;
    }
    board_print("step ");
    print_number((uint32_t)t);
    board_print(" ");
    if (continuous) {
        status = consort_step(&policy, observation, AGENT_OBSERVATIONS, acting, AGENT_MEMORY, values, AGENT_OUTPUTS);
        board_print("-");
    } else {
        status = choose(observation, mask, actions);
        for (size_t i = 0; i < AGENT_GROUPS; i++) {
            board_print(i > 0 ? "," : "");
            print_number(actions[i]);
        }
        if (status == CONSORT_OK) {
            status = consort_outputs(&policy, observation, AGENT_OBSERVATIONS, logging, AGENT_MEMORY, values,
                                     AGENT_OUTPUTS);
        }
    }
    print_values();
    board_print("\ndraw ");
    print_number((uint32_t)t);
    if (status == CONSORT_OK && continuous) {
        status = consort_step_sampled(&policy, observation, AGENT_OBSERVATIONS, drawing, AGENT_MEMORY, next_random,
                                      seed, values, AGENT_OUTPUTS);
        print_values();
    } else if (status == CONSORT_OK) {
        status = draw(observation, mask, seed, drawn);
        for (size_t i = 0; i < AGENT_GROUPS; i++) {
            print_bits(drawn[i]);
        }
    }
    board_print("\n");
    return status;
}

#if AGENT_SYMBOLS > 0
/* Derives the symbol that the golden observation ends with: by this agent's own key and count. */
static consort_status_t share(size_t t, float *observation) {
    static consort_clock_t clock;
    consort_status_t status = CONSORT_OK;
    consort_moment_t now;
    if (t == 0) {
        status = consort_clock_init(&clock, AGENT_TICKS, AGENT_STEPS);
    }
    /* As a message or a clock in common would say, where an episode begins; in between the agent counts. */
    if (status == CONSORT_OK && agent_starts[t]) {
        status = consort_clock_resync(&clock, &agent_moments[t], NULL);
    }
    if (status == CONSORT_OK) {
        status = consort_clock_step(&clock, &now);
    }
    memset(&observation[AGENT_OBSERVATIONS - AGENT_SYMBOLS], 0, AGENT_SYMBOLS * sizeof *observation);
    if (status == CONSORT_OK) {
        status = consort_seed_write(&policy, agent_key, &now, observation, AGENT_OBSERVATIONS, NULL);
    }
    return status;
}
#endif

/* Flash in memory: what a board's driver does. Every part is as long as an image and more, to keep this short. */
#define ERASED ((sizeof agent_image + 4095) / 4096 * 4096)
static uint8_t flash[4 * ERASED] __attribute__((aligned(16)));

static const void *flash_view(void *context, uint32_t offset, uint32_t len) {
    (void)context;
    return offset <= sizeof flash && len <= sizeof flash - offset ? &flash[offset] : NULL;
}

static bool flash_write(void *context, uint32_t offset, const void *bytes, uint32_t len) {
    (void)context;
    for (uint32_t i = 0; i < len; i++) {
        flash[offset + i] &= ((const uint8_t *)bytes)[i]; /* writing clears bits, erasing sets them */
    }
    return true;
}

static bool flash_erase(void *context, uint32_t offset, uint32_t len) {
    (void)context;
    memset(&flash[offset], 0xff, len);
    return true;
}

/* This agent's images, with memory enough for them. */
static bool suits(void *context, const consort_info_t *info) {
    return info->agent == *(const uint16_t *)context && info->memory_len <= AGENT_MEMORY;
}

/* An update: received in parts of 100 bytes, tried by the next boot, which here needs no reset, and confirmed. */
static consort_status_t update(uint16_t agent, consort_status_t *first, consort_boot_t *boot) {
    static consort_slots_t slots;
    const consort_flash_t driver = {NULL, flash_view, flash_write, flash_erase, 0, 2 * ERASED, ERASED, NULL};
    consort_admission_t admission = {0};
    consort_status_t status;
#if AGENT_SIGNED
    admission.verify = consort_verify_ed25519;
    admission.verify_context = agent_public_key;
#endif
    admission.context = &agent;
    admission.suits = suits;
    status = consort_slots_init(&slots, &driver, &admission);
    *first = consort_slots_boot(&slots, boot);
    if (status == CONSORT_OK) {
        status = consort_update_begin(&slots);
    }
    for (size_t i = 0; i < sizeof agent_image && status == CONSORT_OK; i += 100) {
        const size_t left = sizeof agent_image - i;
        status = consort_update_write(&slots, &agent_image[i], left < 100 ? left : 100);
    }
    if (status == CONSORT_OK) {
        status = consort_update_commit(&slots);
    }
    if (status == CONSORT_OK) {
        status = consort_slots_boot(&slots, boot);
    }
    return status == CONSORT_OK ? consort_slots_confirm(&slots) : status;
}

int main(void) {
    consort_info_t info;
    consort_boot_t boot = {0};
    consort_status_t first;
    consort_status_t status;
    uint32_t seed = 1;
    bool kept;
    float observation[AGENT_OBSERVATIONS];

    board_print("consort-c 1\n");
#if AGENT_SIGNED
    status = consort_policy_init_verified(&policy, agent_image, sizeof agent_image, consort_verify_ed25519,
                                          agent_public_key);
#else
    status = consort_policy_init(&policy, agent_image, sizeof agent_image);
#endif
    if (status == CONSORT_OK) {
        status = consort_policy_info(&policy, &info);
    }
    if (status != CONSORT_OK) {
        return fail(status);
    }
    if (info.observation_len != AGENT_OBSERVATIONS || info.output_len != AGENT_OUTPUTS ||
        info.memory_len > AGENT_MEMORY || info.symbols != AGENT_SYMBOLS ||
        info.groups != (info.continuous ? 0 : AGENT_GROUPS)) {
        board_print("error the image is of another machine\n");
        return 1;
    }
    board_print("image ");
    print_number(info.agent);
    board_print(" ");
    print_number(info.revision);
    board_print("\n");

    for (size_t t = 0; t < AGENT_STEPS; t++) {
        memcpy(observation, &agent_observations[t * AGENT_OBSERVATIONS], sizeof observation);
        if (agent_starts[t]) {
            float *const memories[3] = {acting, logging, drawing};
            for (size_t i = 0; i < 3; i++) {
                status = consort_reset(&policy, memories[i], AGENT_MEMORY);
                if (status != CONSORT_OK) {
                    return fail(status);
                }
            }
        }
#if AGENT_SYMBOLS > 0
        status = share(t, observation);
        if (status != CONSORT_OK) {
            return fail(status);
        }
#endif
        status = step(t, observation, info.continuous, &seed);
        if (status != CONSORT_OK) {
            return fail(status);
        }
    }

    /* A sensor fails: the safe action stays. */
    const uint32_t not_a_number = 0x7fc00000;
    memcpy(&observation[0], &not_a_number, sizeof not_a_number);
    if (info.continuous) {
        memset(values, 0, sizeof values);
        status = consort_step(&policy, observation, AGENT_OBSERVATIONS, acting, AGENT_MEMORY, values, AGENT_OUTPUTS);
        kept = values[0] == 0.0f;
    } else {
        uint32_t actions[AGENT_GROUPS] = {STAND_STILL};
        status = choose(observation, NULL, actions);
        kept = actions[0] == STAND_STILL;
    }
    board_print("safe ");
    print_number((uint32_t)status);
    board_print(kept ? " kept\n" : " lost\n");

    /* The flash is damaged: nothing acts from it. */
    memcpy(damaged, agent_image, sizeof agent_image);
    damaged[sizeof agent_image / 2] ^= 1;
    board_print("refused ");
    print_number((uint32_t)consort_policy_init(&refused, damaged, sizeof damaged));
    board_print(" ");
    print_number((uint32_t)consort_reset(&refused, acting, AGENT_MEMORY));

    /* An update arrives. */
    status = update(info.agent, &first, &boot);
    board_print("\nupdated ");
    print_number((uint32_t)first);
    board_print(" ");
    print_number(boot.revision);
    board_print(" ");
    print_number(boot.trials_left);
    board_print(" ");
    print_number((uint32_t)status);
    status = consort_policy_init(&refused, boot.image, boot.image_len);
    kept = status == CONSORT_OK && memcmp(boot.image, agent_image, sizeof agent_image) == 0;
    board_print(kept ? " acts" : " fails");
    board_print("\ndone ");
    print_number(AGENT_STEPS);
    board_print("\n");
    return 0;
}

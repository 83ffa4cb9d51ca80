/*
 * consort.h: acts from one agent's policy image, in C99 or C++.
 *
 * Link the static library `libconsort_c.a` of the crate `consort-c`. It allocates nothing, does not panic, has no state of its own
 * and calls nothing but memcpy, memmove, memset, memcmp and the functions you give it; so it can be called from any task, and from
 * several at once where each has a policy and a memory of its own. `docs/c.md` shows how to build it and a whole program.
 *
 * Every function that can fail returns a status, 0 for success. After an error
 *   - the state in `memory` is what it was before the call;
 *   - what a result would have been written to is untouched: put the action that is safe for your machine there first, and it is
 *     what you have.
 *
 * Pointers: null, misaligned and overlapping ones are refused, and so are values that are not finite. That a pointer leads to as
 * many values as you say is your promise.
 */
#ifndef CONSORT_H
#define CONSORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call came to: one of the constants below. */
typedef int32_t consort_status_t;

#define CONSORT_OK 0
#define CONSORT_ERR_NULL 1               /* a pointer is null */
#define CONSORT_ERR_ALIGNMENT 2          /* a pointer is not aligned for what it points to */
#define CONSORT_ERR_LENGTH 3             /* a length is larger than any object */
#define CONSORT_ERR_OVERLAP 4            /* what is written to overlaps the policy, its image, or what else the call uses */
#define CONSORT_ERR_HANDLE 5             /* the policy or the clock was not initialised, or the image was refused */
#define CONSORT_ERR_NUMBER 6             /* a number is 0 that must not be */
#define CONSORT_ERR_IMAGE_MAGIC 16       /* the image does not start like one */
#define CONSORT_ERR_IMAGE_VERSION 17     /* the image is of another format version */
#define CONSORT_ERR_IMAGE_LENGTH 18      /* the image does not have the length it says */
#define CONSORT_ERR_IMAGE_CHECKSUM 19    /* the image is damaged: its checksum does not fit */
#define CONSORT_ERR_IMAGE_ALIGNMENT 20   /* the image does not lie at a multiple of 4 */
#define CONSORT_ERR_IMAGE_UNKNOWN 21     /* a layer, an activation or a head that this build does not know */
#define CONSORT_ERR_IMAGE_MALFORMED 22   /* the image contradicts itself */
#define CONSORT_ERR_IMAGE_UNSIGNED 23    /* the image is not signed */
#define CONSORT_ERR_IMAGE_SIGNATURE 24   /* the image's signature does not fit */
#define CONSORT_ERR_OBSERVATION_LENGTH 32 /* the observation does not have the policy's length */
#define CONSORT_ERR_OBSERVATION_VALUE 33 /* a value of the observation is infinite or not a number */
#define CONSORT_ERR_MEMORY_LENGTH 34     /* the memory is shorter than the policy needs */
#define CONSORT_ERR_STATE_VALUE 35       /* the state is not finite: it was not reset, or was changed */
#define CONSORT_ERR_OVERFLOW 36          /* an output or a state overflowed: an observation out of all proportion */
#define CONSORT_ERR_MASK_LENGTH 37       /* the mask does not have a value for each action */
#define CONSORT_ERR_MASK_VALUE 38        /* a value of the mask is neither 0 nor 1 */
#define CONSORT_ERR_MASK_EMPTY 39        /* the mask allows no action, or none of a group */
#define CONSORT_ERR_KIND 40              /* the policy's actions are of another kind: a number, a number a group, a vector */
#define CONSORT_ERR_OUTPUT_LENGTH 41     /* the place for the result does not have the policy's output length */
#define CONSORT_ERR_SYMBOL 42            /* the observation does not end with a symbol of the shared seed, one-hot */
#define CONSORT_ERR_SEED 43              /* the policy expects no shared seed */
#define CONSORT_ERR_PACE 48              /* the step came earlier or later than the training period allows */
#define CONSORT_ERR_CLOCK_LOST 49        /* the clock was never told where the team is */
#define CONSORT_ERR_CLOCK_EXPIRED 50     /* it was told too long ago: its lease is over */
#define CONSORT_ERR_CLOCK_STALE 51       /* the moment is one that was used already, or before it */
#define CONSORT_ERR_LAYOUT 64            /* slots too short, or not in multiples of what is erased at once */
#define CONSORT_ERR_NO_IMAGE 65          /* no slot holds an image that may act */
#define CONSORT_ERR_NOT_BOOTED 66        /* the slots were not booted, or nothing was */
#define CONSORT_ERR_UNCONFIRMED 67       /* the image in use is on trial: the other one is what remains if it fails */
#define CONSORT_ERR_NO_UPDATE 68         /* no update is under way, or it failed */
#define CONSORT_ERR_SLOT_FULL 69         /* the image is longer than a slot */
#define CONSORT_ERR_UNSUITABLE 70        /* the image is another device's */
#define CONSORT_ERR_ROLLBACK 71          /* the image is older than one that was confirmed */
#define CONSORT_ERR_FLASH 72             /* the flash failed or is worn out */
#define CONSORT_ERR_COUNTER 73           /* the revision counter failed */

/* What a status means, in English; never null, valid for ever. */
const char *consort_status_string(consort_status_t status);

/* A checked image. In memory of yours: static, on a stack, on a heap. Its contents are nobody's business. */
#define CONSORT_POLICY_WORDS 160
typedef struct consort_policy {
    uintptr_t opaque[CONSORT_POLICY_WORDS];
} consort_policy_t;

/*
 * Checks the image and initialises `policy` with it: once, at boot; it reads every byte. Nothing acts from an image that was refused.
 * `image` must lie at a multiple of 4, better 16, and stay where and as it is for as long as the policy is used: in flash, usually.
 */
consort_status_t consort_policy_init(consort_policy_t *policy, const void *image, size_t image_len);

/* Whether `signature`, 64 bytes, is the key holder's of exactly `message`; false where that cannot be told. */
typedef bool (*consort_verify_t)(void *context, const uint8_t *message, size_t message_len, const uint8_t *signature);

/* Like consort_policy_init, for images that `verify(context, ...)` accepts: in software, or by asking hardware. */
consort_status_t consort_policy_init_verified(consort_policy_t *policy, const void *image, size_t image_len,
                                              consort_verify_t verify, void *context);

/* A consort_verify_t for Ed25519 in software; the context is the public key, 32 bytes, as `consort keygen` writes it. */
bool consort_verify_ed25519(void *public_key, const uint8_t *message, size_t message_len, const uint8_t *signature);

/* What the image says. */
typedef struct consort_info {
    uint8_t team[16];         /* the same for all images of a team */
    uint16_t agent;           /* this agent's index in its team */
    uint16_t agents;          /* in the team */
    uint32_t revision;        /* counts up with every image released for the team */
    uint32_t period_us;       /* the time between two steps in training; 0 where the task is not periodic */
    uint32_t observation_len; /* values in an observation */
    uint32_t output_len;      /* actions to choose between, of all groups, or dimensions of an action's vector */
    uint32_t memory_len;      /* floats of memory that a step needs */
    uint32_t state_len;       /* how many of them, the first ones, are kept from step to step */
    uint32_t continuous;      /* 1 where actions are vectors, 0 where they are numbers */
    uint32_t groups;          /* numbers that a step chooses, one a group of actions: usually 1; 0 for vectors */
    uint32_t symbols;         /* of the shared seed that the policy expects: the observation's last values; 0 for none */
    uint32_t symbol_per;      /* 0 without a shared seed, 1 a symbol a step, 2 one an episode */
    uint32_t has_signature;   /* 1 where the image carries a signature, checked or not */
} consort_info_t;

consort_status_t consort_policy_info(const consort_policy_t *policy, consort_info_t *info);

/*
 * Begins an episode: the state, the first `state_len` floats of the memory, becomes 0. Call it before the first step, and give the
 * same memory to every step of the episode.
 */
consort_status_t consort_reset(const consort_policy_t *policy, float *memory, size_t memory_len);

/* The next 32 random bits. The same bits give the same actions on every machine. */
typedef uint32_t (*consort_random_t)(void *context);

/* Policies whose actions are numbers, counted from 0: the best action, or one drawn with the policy's probabilities. */
consort_status_t consort_act_greedy(const consort_policy_t *policy, const float *observation, size_t observation_len,
                                    float *memory, size_t memory_len, uint32_t *action);
consort_status_t consort_act_sampled(const consort_policy_t *policy, const float *observation, size_t observation_len,
                                     float *memory, size_t memory_len, consort_random_t random, void *context,
                                     uint32_t *action);

/* The same among the actions that `mask` allows: a byte an action, 1 allowed, 0 forbidden. */
consort_status_t consort_act_greedy_masked(const consort_policy_t *policy, const float *observation,
                                           size_t observation_len, const uint8_t *mask, size_t mask_len, float *memory,
                                           size_t memory_len, uint32_t *action);
consort_status_t consort_act_sampled_masked(const consort_policy_t *policy, const float *observation,
                                            size_t observation_len, const uint8_t *mask, size_t mask_len, float *memory,
                                            size_t memory_len, consort_random_t random, void *context,
                                            uint32_t *action);

/*
 * Policies that choose one number of every group (`info.groups`, 1 for the policies above): the best of each, or drawn, one random
 * number a group; a mask has a byte for each of the `output_len` actions, one group after another. consort_policy_groups writes how
 * many actions each group has.
 */
consort_status_t consort_policy_groups(const consort_policy_t *policy, uint32_t *sizes, size_t sizes_len);
consort_status_t consort_choose(const consort_policy_t *policy, const float *observation, size_t observation_len,
                                float *memory, size_t memory_len, uint32_t *actions, size_t actions_len);
consort_status_t consort_choose_sampled(const consort_policy_t *policy, const float *observation,
                                        size_t observation_len, float *memory, size_t memory_len,
                                        consort_random_t random, void *context, uint32_t *actions, size_t actions_len);
consort_status_t consort_choose_masked(const consort_policy_t *policy, const float *observation, size_t observation_len,
                                       const uint8_t *mask, size_t mask_len, float *memory, size_t memory_len,
                                       uint32_t *actions, size_t actions_len);
consort_status_t consort_choose_sampled_masked(const consort_policy_t *policy, const float *observation,
                                               size_t observation_len, const uint8_t *mask, size_t mask_len,
                                               float *memory, size_t memory_len, consort_random_t random, void *context,
                                               uint32_t *actions, size_t actions_len);

/* Policies whose actions are vectors, `output_len` floats: without chance, or drawn. */
consort_status_t consort_step(const consort_policy_t *policy, const float *observation, size_t observation_len,
                              float *memory, size_t memory_len, float *action, size_t action_len);
consort_status_t consort_step_sampled(const consort_policy_t *policy, const float *observation, size_t observation_len,
                                      float *memory, size_t memory_len, consort_random_t random, void *context,
                                      float *action, size_t action_len);

/* A step of any policy that gives what its last layer does, `output_len` floats: logits, means or values. */
consort_status_t consort_outputs(const consort_policy_t *policy, const float *observation, size_t observation_len,
                                 float *memory, size_t memory_len, float *outputs, size_t outputs_len);

/*
 * Whether steps come at the rate of training. At another, a policy's actions are wrong, and nothing in them shows it.
 * Call consort_pace_tick at every step with a clock in microseconds that wraps at 2^32; it returns CONSORT_ERR_PACE when the time
 * since the last step, which it writes to `measured_us` unless that is null, is further from the period than `permille` thousandths.
 */
typedef struct consort_pace {
    uint32_t period_us;
    uint32_t permille;
    uint32_t last_us;
    uint32_t running;
} consort_pace_t;

consort_status_t consort_pace_init(consort_pace_t *pace, const consort_policy_t *policy, uint16_t permille);
consort_status_t consort_pace_tick(consort_pace_t *pace, uint32_t now_us, uint32_t *measured_us);

/*
 * The seed that a team shares (`docs/shared-seed.md`), for policies with `info.symbols`: write the moment's symbol to the end of each
 * observation before the step. The key is the 16 bytes of the team's shared-seed.key; keep it where the device keeps its secrets.
 */
#define CONSORT_KEY_LEN 16
typedef struct consort_moment {
    uint64_t episode; /* episodes before this one */
    uint32_t tick;    /* steps of it before this one */
} consort_moment_t;

/* Writes the symbol of a moment to the observation's last values, and its number to `symbol` unless that is null. */
consort_status_t consort_seed_write(const consort_policy_t *policy, const uint8_t *key, const consort_moment_t *moment,
                                    float *observation, size_t observation_len, uint32_t *symbol);
/* The same with a symbol that no other agent knows: for one that does not know the moment and must act all the same. */
consort_status_t consort_seed_write_private(const consort_policy_t *policy, consort_random_t random, void *context,
                                            float *observation, size_t observation_len, uint32_t *symbol);

/*
 * An agent's count of the moments, for episodes of `ticks` steps. It never gives a moment twice, and none before it was told where
 * the team is or longer than `lease` steps after. Call consort_clock_step once a step, whatever it returns.
 */
#define CONSORT_CLOCK_WORDS 16
typedef struct consort_clock {
    uint64_t opaque[CONSORT_CLOCK_WORDS];
} consort_clock_t;

consort_status_t consort_clock_init(consort_clock_t *clock, uint32_t ticks, uint32_t lease);
/*
 * The agent is told, or infers, that the team's next step is `moment`: to start, and to rejoin after losing count. `drift`, unless it
 * is null: the steps that the clock was behind, negative where it was ahead, 0 where it was right or knew nothing.
 */
consort_status_t consort_clock_resync(consort_clock_t *clock, const consort_moment_t *moment, int64_t *drift);
consort_status_t consort_clock_step(consort_clock_t *clock, consort_moment_t *moment);
/* An episode ended before its time, for all agents. */
consort_status_t consort_clock_begin_episode(consort_clock_t *clock);
/* The moment that a clock in common says, `elapsed_us` after the first. */
consort_status_t consort_moment_at(uint32_t period_us, uint32_t ticks, uint64_t elapsed_us, consort_moment_t *moment);

/*
 * Two slots of flash for images (`docs/update.md`): an update goes into the slot that is not in use, and whatever moment the power fails
 * at, the next boot finds the old image or the new one, whole. A new image is on trial: confirm it once it has shown that it works, or
 * after three boots the other slot is used again.
 *
 *   at boot    consort_slots_init, consort_slots_boot, consort_policy_init with what it gives, act; if all is well, consort_slots_confirm
 *   to update  consort_update_begin, consort_update_write part by part, consort_update_commit, reset
 *
 * One task at a time may use the slots. Where the flash stalls the processor while it is written or erased, the machine should be at rest.
 */

/*
 * Flash, and where in it the slots lie. Offsets are in bytes and are `base` or above. Each function is given `context`.
 *   view    the `len` bytes from `offset` on, or null where that fails: an address, where the flash is mapped into memory; else they are
 *           read into memory of yours, as many as an image has. They must lie at a multiple of 4, better 16, where `offset` does, and stay
 *           until the next call.
 *   write   writes `len` bytes, a multiple of 32, as `offset` is: none was written to since it was erased; whether that succeeded.
 *   erase   erases `len` bytes from `offset` on, both multiples of `erase_size`, to 0xff; whether that succeeded.
 *   read    reads the `len` bytes from `offset` on, both multiples of 32, to `bytes`; whether that succeeded. By it records are read, so that
 *           images alone are viewed. Null where the flash is mapped into memory.
 *
 * Where `view` copies, one buffer is enough, but what lies in it changes with every boot and every commit, one that is refused too: copy the
 * image before consort_policy_init, or reset after a commit whatever it returns. Such a flash needs `read`: without it the records would be
 * copied over the image in use.
 */
typedef struct consort_flash {
    void *context;
    const void *(*view)(void *context, uint32_t offset, uint32_t len);
    bool (*write)(void *context, uint32_t offset, const void *bytes, uint32_t len);
    bool (*erase)(void *context, uint32_t offset, uint32_t len);
    uint32_t base;       /* where the first slot begins, a multiple of erase_size; the second is right behind it */
    uint32_t slot_len;   /* of each, a multiple of erase_size, at least two: its last part is for records, the rest for an image */
    uint32_t erase_size; /* what is erased at once: at least 224 */
    bool (*read)(void *context, uint32_t offset, void *bytes, uint32_t len);
} consort_flash_t;

/*
 * Which images may act on this device. Asked before an update is committed and again at every boot. What is null is not asked for.
 *   verify          as for consort_policy_init_verified; null: images need not be signed.
 *   suits           whether an image, undamaged and verified, is this device's: its agent, a memory that it has room for.
 *   least, advance  a counter that never goes down, which whoever can write to the slots cannot turn back: the least revision that may
 *                   act. It is advanced to an image's when that is confirmed. Both or neither; whether they succeeded.
 */
typedef struct consort_admission {
    consort_verify_t verify;
    void *verify_context;
    void *context; /* of the functions below */
    bool (*suits)(void *context, const consort_info_t *info);
    bool (*least)(void *context, uint32_t *revision);
    bool (*advance)(void *context, uint32_t revision);
} consort_admission_t;

#define CONSORT_SLOTS_WORDS 96
typedef struct consort_slots {
    uintptr_t opaque[CONSORT_SLOTS_WORDS];
} consort_slots_t;

/* Reads and writes nothing. Both structures are copied; their functions are called as long as the slots are used. `admission` may be null. */
consort_status_t consort_slots_init(consort_slots_t *slots, const consort_flash_t *flash,
                                    const consort_admission_t *admission);

/* The image in use. */
typedef struct consort_boot {
    const void *image;       /* where it lies, as `view` says: for consort_policy_init or consort_policy_init_verified. Copy it before, if
                                `view` does */
    size_t image_len;        /* in bytes */
    uint32_t revision;
    uint32_t slot;           /* 0 or 1 */
    uint32_t confirmed;      /* 1 where it is settled, 0 where it is on trial */
    uint32_t trials_left;    /* boots that are left to a trial, this one not counted */
    uint32_t counter_behind; /* 1 where it is settled but the counter could not be advanced; the next boot tries again */
} consort_boot_t;

/*
 * Chooses the image to use, checks every byte of it, and marks that its trial has begun if it is not confirmed. Once, at boot.
 * CONSORT_ERR_NO_IMAGE before the first update, and where no slot holds an image that may act: take the image that the firmware was built
 * with, or be safe. An update can begin all the same.
 */
consort_status_t consort_slots_boot(consort_slots_t *slots, consort_boot_t *boot);

/* Settles the image in use. After CONSORT_ERR_COUNTER it is settled, but the counter is behind. */
consort_status_t consort_slots_confirm(consort_slots_t *slots);

/* Begins an update: erases the slot that is not in use. One that was under way is given up. */
consort_status_t consort_update_begin(consort_slots_t *slots);
/* Writes the image's next bytes, as many as there are. After an error the update is over: begin again. */
consort_status_t consort_update_write(consort_slots_t *slots, const void *bytes, size_t len);
/*
 * Checks the image where it now lies and commits it: the next boot tries it. After an error the update is over and nothing is committed;
 * after CONSORT_ERR_FLASH it may be all the same, which the next boot finds out.
 */
consort_status_t consort_update_commit(consort_slots_t *slots);

#ifdef __cplusplus
}
#endif

#endif
